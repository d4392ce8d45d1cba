"""Rotates, scales, shears and shifts images."""

import math
from collections.abc import Sequence

import numpy as np

from .base import Transform
from .images import Size
from .moves import WarpGeometry


class RandomAffine(Transform):
    """Rotates, scales, shears and shifts an image about its centre, keeping its size.

    Areas from outside the image repeat its border: with black areas, a network could learn to see the transform.

    Args:
        degrees: largest rotation either way, in degrees.
        translate: largest shift either way, as a share of the width and of the height.
        scale: (smallest, largest) factor, > 0.
        shear: largest horizontal shear either way, in degrees, < 90.
    """

    def __init__(
        self, degrees: float = 0.0, translate: float = 0.0, scale: Sequence[float] = (1.0, 1.0), shear: float = 0.0
    ) -> None:
        smallest, largest = scale
        if not 0 < smallest <= largest:
            raise ValueError(f"expected a scale (smallest, largest) with 0 < smallest <= largest, got {tuple(scale)}")
        if min(degrees, translate, shear) < 0 or shear >= 90:
            raise ValueError(
                f"expected degrees, translate and shear >= 0 and shear < 90, got {degrees}, {translate} and {shear}"
            )
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, (smallest, largest), shear

    def draw(self, size: Size, rng: np.random.Generator) -> WarpGeometry:
        """Draw an affine map."""
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        factor = rng.uniform(*self.scale)
        slant = math.tan(math.radians(rng.uniform(-self.shear, self.shear)))
        side = np.array([size[1], size[0]])
        shift = rng.uniform(-self.translate, self.translate, size=2) * side
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        # Pillow needs the inverse map: from each pixel of the result to its source.
        inverse = np.linalg.inv(factor * rotation @ np.array([[1.0, slant], [0.0, 1.0]]))
        return WarpGeometry(size, np.column_stack([inverse, side / 2 - inverse @ (side / 2 + shift)]))
