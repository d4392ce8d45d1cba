"""RoIAlign (arXiv:1703.06870): features of fixed size for boxes of any size."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .torchvision_operators import torchvision_operators

# Corners of samples that are gathered at once: 4 million are 32 MB of indices and 16 MB of weights.
MAX_CORNERS = 2**22


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    """Return the features (R, C, h, w) of R boxes: averages of bilinear samples in h x w bins of each box.

    Args:
        features: (N, C, H, W).
        rois: (R, 5) as (index of the image, x1, y1, x2, y2), in pixels of the image. They get no gradient.
        output_size: (h, w).
        spatial_scale: the size of the features relative to the image, such as 1 / 8.
        sampling_ratio: samples of a bin along each axis; 0 takes one for each cell of the features that it covers.
        aligned: shift by half a cell, so that a sample lies between the centres of cells; False also takes each box to
            be at least one cell wide and high (as in the first version of the operator).

    A sample more than one cell outside of the features is 0. A box without an area gives 0 where `sampling_ratio` is 0.
    """
    operators = torchvision_operators()
    if operators is not None:
        pooled: Tensor = operators.roi_align(
            features, rois.to(features), output_size, spatial_scale, sampling_ratio, aligned
        )
        return pooled
    with torch.autocast(features.device.type, enabled=False):
        return _weighted_rows(features, rois, output_size, spatial_scale, sampling_ratio, aligned)


class RoIAlign(nn.Module):
    """`roi_align` with its settings: (features, rois) -> (R, C, h, w)."""

    def __init__(
        self, output_size: int | tuple[int, int], spatial_scale: float, sampling_ratio: int = 0, aligned: bool = True
    ) -> None:
        super().__init__()
        self.output_size = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.spatial_scale, self.sampling_ratio, self.aligned = spatial_scale, sampling_ratio, aligned

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        """Pool features (N, C, H, W) at rois (R, 5)."""
        return roi_align(
            features,
            rois,
            self.output_size,
            spatial_scale=self.spatial_scale,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )


def _weighted_rows(
    features: Tensor, rois: Tensor, output_size: tuple[int, int], scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    """Every output cell is a weighted sum of rows of the table of all cells: one `embedding_bag`.

    That is as fast as the compiled operator on a CPU, since a row holds all channels of a cell. (Gathering the four
    corners by indexing, or `grid_sample` for each image, takes 2 to 4 times as long.)
    """
    channels = features.shape[1]
    height, width = features.shape[2:]
    dtype = features.dtype if features.dtype == torch.float64 else torch.float32
    table = features.permute(0, 2, 3, 1).reshape(-1, channels).to(dtype)
    rois = rois.detach().to(dtype)
    start = rois[:, 1:3] * scale - (0.5 if aligned else 0.0)
    sides = rois[:, 3:5] * scale - (0.5 if aligned else 0.0) - start
    if not aligned:
        sides = sides.clamp(min=1.0)
    bins = sides / sides.new_tensor((output_size[1], output_size[0]))
    grids = bins.ceil().long() if sampling_ratio <= 0 else torch.full_like(bins, sampling_ratio, dtype=torch.long)
    # With sampling ratio 0 the samples differ from box to box: boxes with the same number of them go together.
    order, pooled = [], [table[:0].reshape(0, output_size[0] * output_size[1], channels)]
    for grid in grids.unique(dim=0).tolist():
        members = (grids == grids.new_tensor(grid)).all(dim=1).nonzero()[:, 0]
        order.append(members)
        if min(grid) <= 0:  # no area: no sample
            pooled.append(table.new_zeros(len(members), *pooled[0].shape[1:]))
            continue
        cost = 4 * grid[0] * grid[1] * output_size[0] * output_size[1]
        for part in members.split(max(1, MAX_CORNERS // cost)):
            across = _samples(start[part, 0], bins[part, 0], output_size[1], grid[0], width)
            down = _samples(start[part, 1], bins[part, 1], output_size[0], grid[1], height)
            index, weight = _corners(rois[part, 0].long() * (height * width), down, across, width)
            rows = F.embedding_bag(index, table, mode="sum", per_sample_weights=weight / (grid[0] * grid[1]))
            pooled.append(rows.reshape(len(part), -1, channels))
    cells = torch.cat(pooled)
    if order:
        cells = cells[torch.cat(order).argsort()]
    return cells.reshape(-1, *output_size, channels).permute(0, 3, 1, 2).to(features.dtype)


def _samples(start: Tensor, bin_size: Tensor, bins: int, samples: int, limit: int) -> tuple[Tensor, Tensor]:
    """Return cells and weights (R, bins, samples, 2) along one axis: the two neighbours of each sample."""
    whole = torch.arange(bins, device=start.device, dtype=start.dtype)[:, None]
    part = (torch.arange(samples, device=start.device, dtype=start.dtype) + 0.5) / samples
    position = start[:, None, None] + (whole + part) * bin_size[:, None, None]
    valid = (position >= -1) & (position <= limit)
    position = position.clamp(min=0, max=limit - 1)
    low = position.floor()
    high = (low + 1).clamp(max=limit - 1)
    fraction = position - low
    weights = torch.stack((1 - fraction, fraction), dim=-1) * valid[..., None]
    return torch.stack((low, high), dim=-1).long(), weights


def _corners(
    offset: Tensor, down: tuple[Tensor, Tensor], across: tuple[Tensor, Tensor], width: int
) -> tuple[Tensor, Tensor]:
    """Return rows of the table and their weights, (R * h * w, 4 * samples)."""
    (y, y_weight), (x, x_weight) = down, across
    rows = offset[:, None, None, None] + y.flatten(2)[:, :, None, :] * width  # (R, h, 1, 2 * samples)
    index = rows[..., :, None] + x.flatten(2)[:, None, :, None, :]
    weight = y_weight.flatten(2)[:, :, None, :, None] * x_weight.flatten(2)[:, None, :, None, :]
    cells = index.shape[0] * index.shape[1] * index.shape[2]
    return index.reshape(cells, -1), weight.reshape(cells, -1)
