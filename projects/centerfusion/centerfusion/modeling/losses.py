"""The losses of CenterNet's output maps, normalised by the objects of all processes."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from steploop.engine import comm
from steploop.modeling import full_precision

# Added to a number of objects, so that a batch without any has the loss 0.
_EPS = 1e-4

REGRESSIONS = ("reg", "wh", "dep", "dep_sec", "dim", "amodel_offset", "velocity")


class DetectionLoss:
    """Computes the weighted losses of a batch.

    Each loss is a sum over objects divided by their number. With several processes that number is the one of all of
    them divided by the number of processes: the mean of the gradients over processes, which DDP takes, is then that of
    one process with the whole batch, however the objects are spread.

    Args:
        weights: {output map: weight}; maps without a weight count 1.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)

    def __call__(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return {"loss_<map>": weighted loss, 0-d}.

        Args:
            outputs: raw maps (B, C, H, W) by name.
            batch: targets of K objects an image: "hm" (B, 10, H, W); "ind" and "cat" (B, K) int64, the cell and the
                class; "mask" (B, K); for each regression its target and "<map>_mask", both (B, K, C); "rotbin",
                "rotres" (B, K, 2) and "rot_mask" (B, K).
        """
        heads = [name for name in outputs if name != "pc_hm"]
        masks = {name: batch[f"{_target(name)}_mask"] for name in heads if name not in ("hm", "rot", "rot_sec")}
        bins = batch["rot_mask"][..., None] * (batch["rotbin"] != 0)
        sizes = torch.stack(
            [batch["mask"].sum(), batch["rot_mask"].sum(), bins[..., 0].sum(), bins[..., 1].sum()]
            + [mask.sum() for mask in masks.values()]
        ).float()
        sizes = _mean_over_processes(sizes)
        size_of = dict(zip(masks, sizes[4:]))
        losses = {}
        for name in heads:
            if name == "hm":
                loss = focal_loss(outputs[name], batch, sizes[0])
            elif name in ("rot", "rot_sec"):
                loss = rotation_loss(outputs[name], batch, sizes[1:4])
            else:
                loss = _regression(name, outputs[name], batch, masks[name], size_of[name])
            losses[f"loss_{name}"] = loss * self.weights.get(name, 1.0)
        return losses


def _target(name: str) -> str:
    return "dep" if name == "dep_sec" else name


def _mean_over_processes(sizes: Tensor) -> Tensor:
    """Return the mean of the sizes over all processes, in a training step; elsewhere the sizes as they are.

    Only in a training step does every process call it: parts of a validation set differ in their number of batches.
    """
    world_size = comm.get_world_size()
    if world_size == 1 or not torch.is_grad_enabled():
        return sizes
    torch.distributed.all_reduce(sizes)
    return sizes / world_size


@full_precision
def focal_loss(logits: Tensor, batch: Mapping[str, Tensor], num_objects: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heat maps (arXiv:1808.01244), the objects' cells apart.

    Two objects of one class on one cell count twice.
    """
    logits, target = logits.float(), batch["hm"]
    score = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    negative = ((1 - score).log() * score.square() * (1 - target).pow(4)).sum()
    flat = score.flatten(2)  # B, 10, H * W
    index = batch["cat"] * flat.shape[2] + batch["ind"]
    peaks = flat.flatten(1).gather(1, index)
    positive = (peaks.log() * (1 - peaks).square() * batch["mask"]).sum()
    # Without an object anywhere the sum of the cells is the loss.
    return -(positive + negative) / torch.where(num_objects > 0, num_objects, torch.ones_like(num_objects))


def depth_of(raw: Tensor) -> Tensor:
    """Return metres of a raw depth map."""
    return 1 / (raw.float().sigmoid() + 1e-6) - 1


def gather_cells(maps: Tensor, index: Tensor) -> Tensor:
    """Return the values (B, K, C) of maps (B, C, H, W) at the cells `index` (B, K)."""
    flat = maps.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def _regression(name: str, raw: Tensor, batch: Mapping[str, Tensor], mask: Tensor, size: Tensor) -> Tensor:
    target = batch[_target(name)]
    predicted = gather_cells(raw, batch["ind"]).float()
    if name in ("dep", "dep_sec"):
        predicted = depth_of(predicted)
        if predicted.shape[2] > 1:  # one depth for each class
            predicted = predicted.gather(2, batch["cat"][..., None])
    if name == "nuscenes_att":
        loss = F.binary_cross_entropy_with_logits(predicted, target, reduction="none")
    else:
        loss = (predicted - target).abs()
    return (loss * mask).sum() / (size + _EPS)


def rotation_loss(raw: Tensor, batch: Mapping[str, Tensor], sizes: Tensor) -> Tensor:
    """Return the loss of two overlapping bins of headings (arXiv:1612.00496), each with a sine and a cosine.

    Args:
        raw: (B, 8, H, W): for each bin two logits, sine and cosine of the residual.
        batch: the targets.
        sizes: numbers of objects: all, in the first bin, in the second bin.
    """
    predicted = gather_cells(raw, batch["ind"]).float()
    mask = batch["rot_mask"]
    loss = predicted.sum() * 0  # a batch without objects has a gradient, of zeros
    for i in range(2):
        logits, sine, cosine = predicted[..., 4 * i : 4 * i + 2], predicted[..., 4 * i + 2], predicted[..., 4 * i + 3]
        is_in = batch["rotbin"][..., i]
        entropy = F.cross_entropy(logits.flatten(0, 1), is_in.flatten(), reduction="none").view_as(mask)
        residual = batch["rotres"][..., i]
        wrong = F.smooth_l1_loss(sine, residual.sin(), reduction="none") + F.smooth_l1_loss(
            cosine, residual.cos(), reduction="none"
        )
        loss = loss + (entropy * mask).sum() / _not_zero(sizes[0])
        loss = loss + (wrong * mask * (is_in != 0)).sum() / _not_zero(sizes[1 + i])
    return loss


def _not_zero(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, torch.ones_like(size))
