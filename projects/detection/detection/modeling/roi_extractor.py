"""Takes the features of boxes of any size from the level of the pyramid that fits each."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steploop.modeling.layers.roi_align import RoIAlign


class RoIExtractor(nn.Module):
    """Pools each box on one level: the coarser, the larger the box (arXiv:1612.03144, equation 1).

    Args:
        strides: of the levels that are used, finest first.
        output_size: cells of the pooled features along each axis.
        sampling_ratio: see `steploop.modeling.layers.roi_align.roi_align`.
        aligned: see there.
        finest_scale: a box up to twice as large, in pixels, is pooled on the finest level.
    """

    def __init__(
        self,
        strides: Sequence[int],
        output_size: int,
        *,
        sampling_ratio: int = 0,
        aligned: bool = True,
        finest_scale: float = 56,
    ) -> None:
        super().__init__()
        self.output_size, self._finest_scale = output_size, finest_scale
        self.roi_layers = nn.ModuleList(
            RoIAlign(output_size, 1 / stride, sampling_ratio, aligned) for stride in strides
        )

    def level_of(self, rois: Tensor) -> Tensor:
        """Return the level (R,) of rois (R, 5)."""
        side = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).clamp(min=0).sqrt()
        level = (side / self._finest_scale + 1e-6).log2().floor()
        return level.clamp(min=0, max=len(self.roi_layers) - 1).long()

    def forward(self, levels: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Return the features (R, C, output_size, output_size) of rois (R, 5): index of the image and the box."""
        which = self.level_of(rois)
        # A level without boxes takes part with none, so that each level has a gradient on every process.
        members = [(which == number).nonzero()[:, 0] for number in range(len(self.roi_layers))]
        parts = [layer(level, rois[index]) for layer, level, index in zip(self.roi_layers, levels, members)]
        return torch.cat(parts)[torch.cat(members).argsort()]
