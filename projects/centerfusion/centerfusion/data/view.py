"""The part of an image that a sample shows, and whether it is mirrored."""

from dataclasses import dataclass

import numpy as np

from . import geometry


@dataclass(frozen=True)
class Augmentation:
    """How views are drawn; the defaults are those of the published training's script without augmentation.

    Attributes:
        flip: probability of a mirrored image.
        shift: standard deviation of the centre's shift, as a share of the longer side.
        scale: standard deviation of the scale.
        random_crop: in place of shift and scale, draw any centre, and a scale of 0.6 to 1.3.
    """

    flip: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    random_crop: bool = False


@dataclass(frozen=True)
class View:
    """A square of an image that is shown along the width of the network's input.

    Attributes:
        width: of the image in pixels.
        height: of the image in pixels.
        center: (x, y) in the middle of the view.
        zoom: pixels of the longer side that are shown, as a share of it.
        flip: the image is mirrored before it is cut.
    """

    width: int
    height: int
    center: tuple[float, float]
    zoom: float = 1.0
    flip: bool = False

    @classmethod
    def whole(cls, width: int, height: int) -> "View":
        """Return the view of evaluation: the whole image."""
        return cls(width, height, (width / 2, height / 2))

    @classmethod
    def draw(cls, width: int, height: int, how: Augmentation, rng: np.random.Generator) -> "View":
        """Draw the view of a training sample."""
        side = max(width, height)
        x, y, zoom = width / 2, height / 2, 1.0
        if how.random_crop:
            zoom = float(rng.choice(np.arange(0.6, 1.4, 0.1)))
            x, y = (float(rng.integers(*_centers(length))) for length in (width, height))
        elif how.shift or how.scale:
            x += side * _clipped_normal(rng, how.shift)
            y += side * _clipped_normal(rng, how.shift)
            zoom = float(np.clip(1 + rng.standard_normal() * how.scale, 1 - how.scale, 1 + how.scale))
        return cls(width, height, (x, y), zoom, bool(rng.random() < how.flip))

    @property
    def side(self) -> float:
        """Pixels of the image along the width of the view."""
        return max(self.width, self.height) * self.zoom

    def matrix(self, size: tuple[int, int], *, inverse: bool = False) -> np.ndarray:
        """Return the (2, 3) matrix from the (mirrored) image to a map of (width, height), or back."""
        center = (
            float(np.float32(self.center[0])),
            float(np.float32(self.center[1])),
        )  # the precision of the published matrix
        return geometry.affine(center, self.side, size, inverse=inverse)

    def mirror_x(self, x: np.ndarray) -> np.ndarray:
        """Return columns of the image in the mirrored image, if this view is mirrored."""
        return self.width - 1 - x if self.flip else x


def _clipped_normal(rng: np.random.Generator, deviation: float) -> float:
    return float(np.clip(rng.standard_normal() * deviation, -2 * deviation, 2 * deviation))


def _centers(length: int, border: int = 128) -> tuple[int, int]:
    """Return the first and the end of the centres of random crops, at least half of the border inside."""
    divisor = 1
    while length - border // divisor <= border // divisor:
        divisor *= 2
    return border // divisor, length - border // divisor
