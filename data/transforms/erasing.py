"""Covers a part of an image."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from .base import Transform, check_probability
from .geometry import Geometry, NoGeometry
from .images import Size


class RandomErasing(Transform):
    """Fills a random rectangle of a uint8 tensor (C, H, W) with one colour (Zhong et al., arXiv:1708.04896).

    Args:
        p: probability that anything is erased.
        area: (smallest, largest) share of the image, in 0..1.
        aspect: (smallest, largest) height / width; drawn on a log scale, so that 1/a is as likely as a.
        value: the colour, 0..255: one number, or one for each channel, such as the data's mean.
    """

    # A rectangle may be too long for the image; the chance of so many in a row is negligible.
    _ATTEMPTS = 100

    def __init__(
        self,
        p: float = 0.5,
        area: Sequence[float] = (0.02, 0.4),
        aspect: Sequence[float] = (0.3, 1 / 0.3),
        value: float | Sequence[float] = 0.0,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"expected ranges of an area in 0..1 and of an aspect > 0, got {area} and {aspect}")
        self.p = check_probability(p)
        self.area, self.aspect = area, aspect
        self.colour = torch.tensor(value, dtype=torch.float64).reshape(-1, 1, 1).round().clamp(0, 255).to(torch.uint8)

    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Draw a rectangle, or none; it is the same in all frames of a clip."""
        if rng.random() >= self.p:
            return NoGeometry(size)
        height, width = size
        for _ in range(self._ATTEMPTS):
            area = rng.uniform(self.area[0], self.area[1]) * height * width
            aspect = math.exp(rng.uniform(math.log(self.aspect[0]), math.log(self.aspect[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                return _ErasingGeometry(size, top, left, h, w, self.colour)
        return NoGeometry(size)


class _ErasingGeometry(Geometry):
    """Fills a rectangle with a colour, uint8 (C, 1, 1)."""

    def __init__(self, size: Size, top: int, left: int, height: int, width: int, colour: torch.Tensor) -> None:
        super().__init__(size)
        self._rows, self._columns = slice(top, top + height), slice(left, left + width)
        self._colour = colour

    def _move(self, image: torch.Tensor) -> torch.Tensor:
        if not isinstance(image, torch.Tensor):
            raise TypeError(f"RandomErasing takes a tensor, got a {type(image).__name__}: put ToTensor before it")
        erased = image.clone()
        erased[..., self._rows, self._columns] = self._colour
        return erased

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        return self._move(frames)
