"""Non-maximum suppression: greedy, over classes at once, and soft."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .boxes import box_area, pairwise_iou
from .torchvision_operators import torchvision_operators

# On a GPU the overlaps of all pairs are computed at once: 25 million of them are 100 MB.
MAX_PAIRWISE = 5000


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that greedy suppression keeps, the best score first.

    A box is dropped when its IoU with a kept one of a higher score is greater than `iou_threshold`. Of equal scores
    the first comes first.

    Args:
        boxes: (n, 4) as (x1, y1, x2, y2).
        scores: (n,).
    """
    operators = torchvision_operators()
    if boxes.numel() == 0:
        return boxes.new_zeros(0, dtype=torch.long)
    boxes, scores = boxes.detach().float(), scores.detach().float()
    if operators is not None:
        keep: Tensor = operators.nms(boxes, scores, iou_threshold)
        return keep
    order = scores.argsort(descending=True, stable=True)
    if boxes.is_cuda and len(boxes) <= MAX_PAIRWISE:
        return order[_fixed_point(pairwise_iou(boxes[order], boxes[order]) > iou_threshold)]
    kept = _row_by_row(boxes[order].cpu().numpy(), iou_threshold)
    return order[torch.from_numpy(kept).to(order.device)]


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Return what `nms` keeps within each group (a class, a pyramid level), the best score first.

    Each group is suppressed for itself. Shifting the boxes of each group by a large offset, as is often done, loses
    digits, and it is wrong where a coordinate is negative.

    Args:
        boxes: (n, 4).
        scores: (n,).
        groups: (n,), any integers.
    """
    if boxes.is_cuda and 0 < len(boxes) <= MAX_PAIRWISE and torchvision_operators() is None:
        order = scores.argsort(descending=True, stable=True)
        sorted_boxes, sorted_groups = boxes[order].float(), groups[order]
        overlapping = pairwise_iou(sorted_boxes, sorted_boxes) > iou_threshold
        return order[_fixed_point(overlapping & (sorted_groups[:, None] == sorted_groups[None]))]
    kept = [index[nms(boxes[index], scores[index], iou_threshold)] for index in _members(groups)]
    return _best_first(scores, torch.cat(kept)) if kept else boxes.new_zeros(0, dtype=torch.long)


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.3,
    *,
    sigma: float = 0.5,
    min_score: float = 1e-3,
    method: str = "linear",
) -> tuple[Tensor, Tensor]:
    """Lower the scores of overlapping boxes in place of dropping them (arXiv:1704.04503).

    Again and again the best box is taken and the scores of the others are multiplied: "linear" by 1 - IoU where the
    IoU is at least the threshold, "gaussian" by exp(-IoU^2 / sigma), "naive" by 0 where it is at least the threshold.

    Returns:
        The new scores (m,) and the indices (m,) of the boxes whose new score is at least `min_score`, best first.

    Raises:
        ValueError: the method is none of the three.
    """
    if method not in ("linear", "gaussian", "naive"):
        raise ValueError(f'soft-NMS is "linear", "gaussian" or "naive"; came {method!r}')
    corners = boxes.detach().float().cpu().numpy()
    left = scores.detach().float().cpu().numpy().copy()
    index = np.arange(len(left))
    taken_scores: list[float] = []
    taken: list[int] = []
    while len(left):
        best = int(left.argmax())
        if left[best] < min_score:
            break
        taken_scores.append(float(left[best]))
        taken.append(int(index[best]))
        iou = _iou_row(corners[best], corners)
        if method == "gaussian":
            factor = np.exp(-(iou * iou) / sigma)
        else:
            factor = np.where(iou >= np.float64(iou_threshold), 1 - iou if method == "linear" else 0.0, 1.0)
        left = (left * factor).astype(np.float32)
        rest = left >= min_score
        rest[best] = False
        corners, left, index = corners[rest], left[rest], index[rest]
    keep = torch.tensor(taken, dtype=torch.long, device=boxes.device)
    return torch.tensor(taken_scores, dtype=scores.dtype, device=boxes.device), keep


def multiclass_nms(
    boxes: Tensor, scores: Tensor, *, score_threshold: float, nms_config: dict[str, Any], max_per_image: int = -1
) -> tuple[Tensor, Tensor]:
    """Return the detections (m, 5) as (x1, y1, x2, y2, score) and labels (m,) of one image, the best score first.

    Args:
        boxes: (n, 4), or (n, 4 * K) with a box for each class.
        scores: (n, K) of K classes, without the background.
        score_threshold: a (box, class) pair counts when its score is greater.
        nms_config: ``{"type": "nms", "iou_threshold": 0.5}``, or type "soft_nms" with `soft_nms`'s further arguments;
            "class_agnostic": True suppresses over all classes.
        max_per_image: so many of the best are kept; negative keeps all.

    Raises:
        ValueError: the type is neither of the two.
    """
    index, labels = (scores > score_threshold).nonzero(as_tuple=True)
    count = boxes.shape[1] // 4
    flat = boxes.reshape(len(boxes), count, 4)[index, labels if count > 1 else 0]
    found = scores[index, labels]
    new_scores, keep = suppress(flat, found, labels, nms_config)
    if max_per_image >= 0:
        new_scores, keep = new_scores[:max_per_image], keep[:max_per_image]
    return torch.cat((flat[keep], new_scores[:, None]), dim=1), labels[keep]


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, config: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Apply the suppression that a config describes within each group; see `multiclass_nms`.

    Returns:
        The scores (m,), which soft-NMS changes, and the indices (m,) of the kept boxes, the best score first.
    """
    options = dict(config)
    kind = options.pop("type", "nms")
    threshold = options.pop("iou_threshold", options.pop("iou_thr", 0.5))
    if options.pop("class_agnostic", False):
        groups = torch.zeros_like(groups)
    if kind == "nms":
        if options:
            raise ValueError(f"nms takes iou_threshold and class_agnostic; came {', '.join(options)}, too")
        keep = batched_nms(boxes, scores, groups, threshold)
        return scores[keep], keep
    if kind != "soft_nms":
        raise ValueError(f'the suppression is of type "nms" or "soft_nms"; came {kind!r}')
    new_scores = scores.clone()
    kept = [keep[:0] for keep in (groups.long(),)]
    for index in _members(groups):
        values, keep = soft_nms(boxes[index], scores[index], threshold, **options)
        new_scores[index[keep]] = values
        kept.append(index[keep])
    keep = _best_first(new_scores, torch.cat(kept))
    return new_scores[keep], keep


def _members(groups: Tensor) -> list[Tensor]:
    """Return the indices of each group's members."""
    order = groups.argsort(stable=True)
    _, counts = groups[order].unique_consecutive(return_counts=True)
    return list(order.split(counts.tolist()))


def _best_first(scores: Tensor, index: Tensor) -> Tensor:
    index = index.sort().values  # so that of equal scores the first comes first
    return index[scores[index].argsort(descending=True, stable=True)]


def _row_by_row(boxes: "np.ndarray[Any, Any]", threshold: float) -> "np.ndarray[Any, Any]":
    """Return the indices that suppression keeps of sorted boxes: one row of overlaps for each kept box."""
    # On the CPU the fastest formulation: numpy's calls cost less than torch's, and the rest shrinks.
    kept: list[int] = []
    index = np.arange(len(boxes))
    while len(index):
        kept.append(int(index[0]))
        rest = ~(_iou_row(boxes[0], boxes[1:]) > np.float64(threshold))
        boxes, index = boxes[1:][rest], index[1:][rest]
    return np.asarray(kept, dtype=np.int64)


def _iou_row(box: "np.ndarray[Any, Any]", others: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    width = (np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])).clip(min=0)
    height = (np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])).clip(min=0)
    intersection = width * height
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 of two empty boxes: no overlap
        return intersection / ((box[2] - box[0]) * (box[3] - box[1]) + areas - intersection)


def _fixed_point(suppresses: Tensor) -> Tensor:
    """Return the mask that suppression keeps, given which of the sorted boxes overlap too much; no loop over boxes.

    A box is kept when no kept box before it suppresses it. Applying this rule to all boxes at once until nothing
    changes is exact: after k rounds the first k boxes are right.
    """
    above = suppresses.triu(diagonal=1).float()
    keep = torch.ones(len(suppresses), dtype=torch.bool, device=suppresses.device)
    while True:
        new = (keep.float() @ above) == 0
        if bool((new == keep).all()):
            return keep
        keep = new


def area_at_least(boxes: Tensor, smallest: float) -> Tensor:
    """Return which boxes (n, 4) have both sides of more than `smallest` pixels; 0 drops empty boxes."""
    return ((boxes[:, 2:] - boxes[:, :2]) > smallest).all(dim=1) & (box_area(boxes) > 0)
