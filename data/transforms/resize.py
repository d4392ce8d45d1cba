"""Scales images to a size, or as large as fits. Sizes are (height, width) in pixels."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from .base import FixedTransform, Transform, check_size
from .doubling import double
from .geometry import PixelGeometry
from .images import AnyImage, Size, channels_first
from .moves import ResizeGeometry

_INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Resize(FixedTransform):
    """Scales an image to a size, without keeping its aspect ratio.

    Args:
        size: (height, width).
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos"; all but the first smooth when they shrink.
    """

    def __init__(self, size: Size, interpolation: str = "bilinear") -> None:
        self.resample = resampling(interpolation)
        self.height, self.width = check_size(size)

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> ResizeGeometry:
        """Scale."""
        return ResizeGeometry(size, (self.height, self.width), self.resample)


class ResizeToFit(Transform):
    """Scales an image, keeping its aspect ratio, as large as it can be with its sides no longer than the limits.

    ``[(1333, 800)]`` is the usual size of COCO detectors; ``[(math.inf, 256)]`` brings the short side to 256.

    Args:
        limits: (long side, short side) in pixels, one pair or several to draw from; `math.inf` is no limit.
        sample: "choice" draws one of the pairs; "range" draws each side, in whole pixels, from the smallest to the
            largest of the pairs. A single pair draws nothing.
        interpolation: as for Resize.

    Raises:
        ValueError: there is no pair, one has no finite side or a side below 1, or `sample` is unknown.
    """

    def __init__(
        self, limits: Sequence[tuple[float, float]], *, sample: str = "choice", interpolation: str = "bilinear"
    ) -> None:
        self.limits = [(float(long), float(short)) for long, short in limits]
        if not self.limits or any(min(pair) < 1 or not math.isfinite(min(pair)) for pair in self.limits):
            raise ValueError(
                f"expected pairs (long side, short side) of at least 1 pixel, one of them finite; got {limits}"
            )
        if sample not in ("choice", "range"):
            raise ValueError(f"expected sample 'choice' or 'range', got {sample!r}")
        self.sample = sample
        self.resample = resampling(interpolation)

    def draw(self, size: Size, rng: np.random.Generator) -> ResizeGeometry:
        """Draw limits, which do not depend on `size`, and scale."""
        return ResizeGeometry(size, fitting_size(size, *self._draw_limits(rng)), self.resample)

    def _draw_limits(self, rng: np.random.Generator) -> tuple[float, float]:
        if len(self.limits) == 1:
            return self.limits[0]
        if self.sample == "choice":
            return self.limits[int(rng.integers(len(self.limits)))]
        long, short = (_draw_side(sides, rng) for sides in zip(*self.limits))
        return long, short


class ToTensor(FixedTransform):
    """Makes a uint8 tensor (3, H, W), RGB, with memory of its own, of a PIL image."""

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> PixelGeometry:
        """Convert."""
        return PixelGeometry(size, channels_first)


class ResizeToTensor(Resize):
    """Resize and ToTensor in one: the same pixels, and sooner where bilinear scaling doubles both sides.

    That is how the 128 x 64 images of Market-1501 come to 256 x 128: in 85 us, where Pillow takes 235 and turning the
    large image into a tensor another 45.
    """

    def draw(self, size: Size, rng: np.random.Generator | None = None) -> ResizeGeometry:
        """Scale and convert."""
        return _ResizeToTensorGeometry(size, (self.height, self.width), self.resample)


class _ResizeToTensorGeometry(ResizeGeometry):
    def _move(self, image: AnyImage) -> torch.Tensor:
        doubles = self.new_size == (2 * self.size[0], 2 * self.size[1])
        if doubles and self.resample is Image.Resampling.BILINEAR:
            pixels = image if isinstance(image, torch.Tensor) else channels_first(image)
            return torch.from_numpy(double(pixels.numpy()))
        moved = super()._move(image)
        return moved if isinstance(moved, torch.Tensor) else channels_first(moved)


def fitting_size(size: Size, long: float, short: float) -> tuple[int, int]:
    """Return the largest (height, width) of the proportions of `size` whose sides do not exceed the limits.

    Both sides are scaled by ``min(long / long side, short / short side)`` and rounded half up, to at least 1 pixel.
    """
    scale = min(long / max(size), short / min(size))
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))


def resampling(interpolation: str) -> Image.Resampling:
    """Return Pillow's filter of that name.

    Raises:
        ValueError: there is none.
    """
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"expected an interpolation of {list(_INTERPOLATIONS)}, got {interpolation!r}")
    return _INTERPOLATIONS[interpolation]


def _draw_side(sides: Sequence[float], rng: np.random.Generator) -> float:
    smallest, largest = min(sides), max(sides)
    if smallest == largest:
        return smallest
    if math.isinf(largest):
        raise ValueError(f"cannot draw a side from {smallest} to no limit: give all pairs a limit, or none")
    return float(rng.integers(int(smallest), int(largest) + 1))
