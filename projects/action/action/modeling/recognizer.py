"""The whole model: clips to losses (training) or to scores of each view (evaluation)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .heads import I3DHead


class Recognizer3D(nn.Module):
    """A backbone and a head, with the names of MMAction2's state dicts: `backbone.*`, `cls_head.*`.

    Args:
        backbone: clips (N, C, T, H, W) to features.
        cls_head: features to logits.
        pixel_mean: of the channels, in the range of the pixels (0..255).
        pixel_std: of the channels.
        max_testing_views: most clips that an evaluation passes through the network at once, which bounds its memory;
            0 passes a whole batch. The figures do not depend on it.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        cls_head: I3DHead,
        *,
        pixel_mean: Sequence[float] = (123.675, 116.28, 103.53),
        pixel_std: Sequence[float] = (58.395, 57.12, 57.375),
        max_testing_views: int = 0,
    ) -> None:
        super().__init__()
        if max_testing_views < 0:
            raise ValueError(f"max_testing_views is 0 (all at once) or more; came {max_testing_views}")
        self.backbone = backbone
        self.cls_head = cls_head
        self.max_testing_views = max_testing_views
        # Not persistent: files of MMAction2 have no such entries.
        self.register_buffer("pixel_mean", torch.tensor(list(pixel_mean)).view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(list(pixel_std)).view(1, -1, 1, 1, 1), persistent=False)

    def forward(self, batch: Mapping[str, Any]) -> Any:
        """Return ({"loss_cls"}, {"top1_acc", ...}) in training mode, the logits (N, views, classes) in eval mode.

        Args:
            batch: "imgs" uint8 (N, views, C, T, H, W), not normalised; "label" int64 (N,) or (N, classes), which
                evaluation does not look at; "broken" (N,), if it is there, is summed up as the metric "broken_videos".
                Where N samples have several clips, each trains with its sample's label.
        """
        clips = batch["imgs"].to(self.pixel_mean.device)
        samples, views = clips.shape[:2]
        clips = clips.flatten(0, 1)
        if not self.training:
            return self.logits_in_pieces(clips).unflatten(0, (samples, views))
        labels = batch["label"].to(clips.device).repeat_interleave(views, dim=0)
        losses, metrics = self.cls_head.losses(self.logits(self.normalize(clips)), labels)
        if "broken" in batch:
            metrics["broken_videos"] = batch["broken"].float().sum()
        return losses, metrics

    def normalize(self, clips: Tensor) -> Tensor:
        """Return clips of 0..255 with their mean removed, in the model's precision."""
        normal = (clips.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        if self._is_channels_last():
            return normal.contiguous(memory_format=torch.channels_last_3d)
        return normal

    def logits(self, clips: Tensor) -> Tensor:
        """Return the logits (N, classes) of normalised clips (N, C, T, H, W)."""
        return self.cls_head(self.backbone(clips))

    def logits_in_pieces(self, clips: Tensor) -> Tensor:
        """Return the logits (N, classes) of clips of 0..255, `max_testing_views` at a time."""
        size = self.max_testing_views or max(1, len(clips))
        return torch.cat([self.logits(self.normalize(piece)) for piece in clips.split(size)])

    def _is_channels_last(self) -> bool:
        weight = next(self.backbone.parameters())
        return weight.ndim == 5 and weight.is_contiguous(memory_format=torch.channels_last_3d)
