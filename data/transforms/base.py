"""Base classes of transforms, and the composition of several."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .geometry import Geometry, GeometryList
from .images import Size, size_of

ImageTransform = Callable[[Any, np.random.Generator], Any]
"""A Transform, or any function (image, random numbers of the sample) -> image."""


class Transform(ABC):
    """Draws a geometry for an image size; all its random numbers come from the given generator.

    ``transform(image, rng)`` is short for drawing a geometry and applying it to the image. To move boxes, points or the
    frames of a clip along with the image, keep the geometry::

        geometry = transform.draw(size_of(image), rng)
        image, boxes = geometry.apply_image(image), geometry.apply_box(boxes)
    """

    @abstractmethod
    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Return what is done to an image of `size` (height, width) and to all that belongs to it."""

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Return the changed image; the given one is not changed."""
        return self.draw(size_of(image), rng)._move(image)  # drawn for this size, so no check as in apply_image


class FixedTransform(Transform):
    """A transform without random numbers: it is the same for every sample and can be called without a generator."""

    @abstractmethod
    def draw(self, size: Size, rng: np.random.Generator | None = None) -> Geometry:
        """Return what is done to an image of `size` (height, width) and to all that belongs to it."""

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        """Return the changed image; the given one is not changed."""
        return self.draw(size_of(image))._move(image)


class Compose(Transform):
    """Applies transforms one after another; all draw from one generator, in this order.

    Args:
        transforms: functions ``(image, rng) -> image`` may be among them, but then only images can be transformed.
    """

    def __init__(self, transforms: Sequence[ImageTransform]) -> None:
        self.transforms = list(transforms)

    def draw(self, size: Size, rng: np.random.Generator) -> GeometryList:
        """Draw from each, for the size that the one before it gives.

        Raises:
            TypeError: one of them is a function, which has no geometry.
        """
        parts: list[Geometry] = []
        for transform in self.transforms:
            if not isinstance(transform, Transform):
                raise TypeError(
                    f"{transform!r} draws no geometry, so it moves no boxes: make it a steploop.data.Transform"
                )
            parts.append(transform.draw(parts[-1].new_size if parts else size, rng))
        return GeometryList(size, parts)

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply all."""
        for transform in self.transforms:
            image = transform(image, rng)
        return image


def check_probability(p: float) -> float:
    """Return `p`.

    Raises:
        ValueError: it is not in 0..1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"expected a probability in 0..1, got {p}")
    return p


def check_size(size: Size) -> tuple[int, int]:
    """Return (height, width).

    Raises:
        ValueError: they are not two numbers, or not positive.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"expected a size (height, width) in pixels, got {size!r}")
    return int(size[0]), int(size[1])
