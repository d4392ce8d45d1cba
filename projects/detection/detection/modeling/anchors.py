"""Anchors: the boxes of fixed sizes and shapes that each cell of a feature map compares itself with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .structures import Size


class Anchors(nn.Module):
    """Makes the anchors of a pyramid.

    The anchors of a cell are centred on its top left corner, ``(column * stride, row * stride)``. The order is rows,
    columns, shapes of a cell; of these the ratio is the outer loop and the size the inner one.

    Args:
        strides: of each level, in pixels.
        sizes: for each level the sides in pixels of its square anchors.
        ratios: height / width; the area stays.
        rounded: round the corners around (0, 0) to whole pixels (torchvision).
        stride_from_image: use ``image side // cells`` in place of the stride (torchvision; it differs where a side of
            the image is no multiple of the stride).
    """

    def __init__(
        self,
        strides: Sequence[int],
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float],
        *,
        rounded: bool = False,
        stride_from_image: bool = False,
    ) -> None:
        super().__init__()
        if len(sizes) != len(strides) or len({len(level) for level in sizes}) > 1:
            raise ValueError(
                f"anchors need as many sizes for each of the {len(strides)} strides; came {[list(s) for s in sizes]}"
            )
        self.strides = tuple(strides)
        self.sizes, self.ratios = tuple(map(tuple, sizes)), tuple(ratios)
        self.per_cell = len(sizes[0]) * len(ratios)
        self._stride_from_image = stride_from_image
        for level, level_sizes in enumerate(sizes):
            # Not in checkpoints: the config says them.
            self.register_buffer(f"base{level}", _base(level_sizes, ratios, rounded), persistent=False)

    def base(self, level: int) -> Tensor:
        """Return the anchors (A, 4) of the cell at (0, 0) of a level."""
        return self.get_buffer(f"base{level}")

    def grid(self, cells: Sequence[Size], image: Size) -> list[Tensor]:
        """Return for each level the anchors (rows * columns * A, 4).

        Args:
            cells: (rows, columns) of each level's feature map.
            image: (height, width) of the batch in pixels.
        """
        grids = []
        for level, (rows, columns) in enumerate(cells):
            base = self.base(level)
            down = across = self.strides[level]
            if self._stride_from_image:
                down, across = image[0] // rows, image[1] // columns
            x = torch.arange(columns, device=base.device, dtype=base.dtype) * across
            y = torch.arange(rows, device=base.device, dtype=base.dtype) * down
            y, x = (part.reshape(-1) for part in torch.meshgrid(y, x, indexing="ij"))
            shifts = torch.stack((x, y, x, y), dim=1)
            grids.append((shifts[:, None] + base[None]).reshape(-1, 4))
        return grids

    def valid(self, cells: Sequence[Size], padded: Size) -> list[Tensor]:
        """Return for each level which anchors (rows * columns * A,) belong to cells inside of an image.

        Args:
            cells: (rows, columns) of each level's feature map.
            padded: (height, width) of the image, which may be smaller than the batch.
        """
        flags = []
        for level, (rows, columns) in enumerate(cells):
            stride, device = self.strides[level], self.base(level).device
            inside = torch.zeros(rows, columns, dtype=torch.bool, device=device)
            inside[: math.ceil(padded[0] / stride), : math.ceil(padded[1] / stride)] = True
            flags.append(inside[:, :, None].expand(rows, columns, self.per_cell).reshape(-1))
        return flags


def within(anchors: Tensor, size: Size, border: float) -> Tensor:
    """Return which anchors (n, 4) reach over the image by less than `border` pixels; a negative border takes all."""
    if border < 0:
        return torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
    height, width = size
    return (
        (anchors[:, 0] >= -border)
        & (anchors[:, 1] >= -border)
        & (anchors[:, 2] < width + border)
        & (anchors[:, 3] < height + border)
    )


def octave_scales(base: float, per_octave: int) -> list[float]:
    """Return `per_octave` scales from `base` to less than twice of it, evenly spaced in the logarithm."""
    return [base * 2 ** (step / per_octave) for step in range(per_octave)]


def _base(sizes: Sequence[float], ratios: Sequence[float], rounded: bool) -> Tensor:
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()
    side = torch.tensor(sizes, dtype=torch.float32)
    width = ((1 / root)[:, None] * side[None]).reshape(-1)
    height = (root[:, None] * side[None]).reshape(-1)
    base = torch.stack((-width, -height, width, height), dim=1) / 2
    return base.round() if rounded else base
