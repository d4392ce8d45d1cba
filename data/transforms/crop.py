"""Mirrors, pads and cuts images. Sizes are (height, width) in pixels."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .base import FixedTransform, Transform, check_probability, check_size
from .geometry import Geometry, GeometryList, NoGeometry
from .images import Size
from .moves import CropGeometry, FlipGeometry, PadGeometry, ResizeGeometry


class RandomFlip(Transform):
    """Mirrors an image left to right with probability `p`; if `vertical`, top to bottom."""

    def __init__(self, p: float = 0.5, *, vertical: bool = False) -> None:
        self.p = check_probability(p)
        self.vertical = vertical

    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Mirror, or not."""
        return NoGeometry(size) if rng.random() >= self.p else FlipGeometry(size, vertical=self.vertical)


class Pad(FixedTransform):
    """Adds a border of `padding` >= 0 pixels of one value, 0..255, to each side of an image."""

    def __init__(self, padding: int, *, fill: int = 0) -> None:
        if padding < 0:
            raise ValueError(f"expected a padding >= 0 pixels, got {padding}")
        self.padding = padding
        self.fill = fill

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> PadGeometry:
        """Add the border."""
        return PadGeometry(size, *4 * (self.padding,), fill=self.fill)


class PadToMultiple(FixedTransform):
    """Adds pixels at the right and at the bottom until both sides are multiples of `divisor` >= 1.

    Args:
        divisor: pixels, such as the stride of a network's coarsest output.
        fill: value of the new pixels, 0..255.
    """

    def __init__(self, divisor: int, *, fill: int = 0) -> None:
        if divisor < 1:
            raise ValueError(f"expected a divisor >= 1, got {divisor}")
        self.divisor = divisor
        self.fill = fill

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> PadGeometry:
        """Add what is missing."""
        return PadGeometry(size, 0, 0, -size[1] % self.divisor, -size[0] % self.divisor, fill=self.fill)


class RandomCrop(Transform):
    """Cuts a window of `size` (height, width) out of an image; every place is equally likely.

    Of a tensor it is a view.

    Raises:
        ValueError: when drawn for an image smaller than the window.
    """

    def __init__(self, size: Size) -> None:
        self.height, self.width = check_size(size)

    def draw(self, size: Size, rng: np.random.Generator) -> CropGeometry:
        """Draw a place."""
        spare_y, spare_x = _spare(size, (self.height, self.width))
        left, top = int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1))
        return CropGeometry(size, top, left, (self.height, self.width))


class CenterCrop(FixedTransform):
    """Cuts the middle of `size` (height, width) out of an image; half a pixel is rounded to the upper left.

    Raises:
        ValueError: when drawn for an image smaller than the window.
    """

    def __init__(self, size: Size) -> None:
        self.height, self.width = check_size(size)

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> CropGeometry:
        """Cut."""
        spare_y, spare_x = _spare(size, (self.height, self.width))
        return CropGeometry(size, spare_y // 2, spare_x // 2, (self.height, self.width))


class RandomResizedCrop(Transform):
    """Cuts a window of random area and proportions, and scales it to `size` (Szegedy et al., arXiv:1409.4842).

    Where ten windows in a row do not fit into the image, the middle of it is taken, as large as the range of
    proportions allows.

    Args:
        size: (height, width) of the result.
        area: (smallest, largest) share of the image, in 0..1.
        ratio: (smallest, largest) width / height; drawn on a log scale, so that 1/a is as likely as a.
        resample: Pillow's filter.
    """

    _ATTEMPTS = 10

    def __init__(
        self,
        size: Size,
        area: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        *,
        resample: Image.Resampling = Image.Resampling.BILINEAR,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"expected ranges of an area in 0..1 and of a ratio > 0, got {area} and {ratio}")
        self.size = check_size(size)
        self.area, self.ratio, self.resample = area, ratio, resample

    def draw(self, size: Size, rng: np.random.Generator) -> GeometryList:
        """Draw a window."""
        crop = self._draw_window(size, rng)
        return GeometryList(size, [crop, ResizeGeometry(crop.new_size, self.size, self.resample)])

    def _draw_window(self, size: Size, rng: np.random.Generator) -> CropGeometry:
        height, width = size
        for _ in range(self._ATTEMPTS):
            area = rng.uniform(self.area[0], self.area[1]) * height * width
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                return CropGeometry(size, top, left, (h, w))
        w = max(1, min(width, round(height * self.ratio[1])))
        h = max(1, min(height, round(width / self.ratio[0])))
        return CropGeometry(size, (height - h) // 2, (width - w) // 2, (h, w))


def _spare(size: Size, window: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels of an image that a window leaves over, in height and width."""
    if size[0] < window[0] or size[1] < window[1]:
        raise ValueError(
            f"cannot cut {window[0]} x {window[1]} (height x width) out of {size[0]} x {size[1]}: "
            "resize or pad the image first"
        )
    return size[0] - window[0], size[1] - window[1]
