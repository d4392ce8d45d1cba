"""Random patches: a part of one training image is pasted into another (OSNet's augmentation, arXiv:1905.00953)."""

import math
from collections.abc import Callable

import numpy as np
import torch

from steploop.data import Geometry, NoGeometry, PixelGeometry, Size, Transform

_AREA, _ASPECT = (0.01, 0.5), (0.1, 10.0)
_ATTEMPTS = 100


class RandomPatch(Transform):
    """With probability `p`, pastes a rectangle of another image of the training set, mirrored half of the time.

    The other image follows from the sample's generator, and not from what a worker has seen before: a pool of earlier
    patches would make a sample depend on the number of workers and on where a run was resumed.

    Args:
        num_images: of the training set.
        read: returns image i as a uint8 tensor (3, H, W) of the size that samples have.
        p: probability.
    """

    def __init__(self, num_images: int, read: Callable[[int], torch.Tensor], p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"expected a probability in 0..1, got {p}")
        self.num_images, self.read, self.p = num_images, read, p

    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Draw another image, and where its patch comes from and goes to."""
        if rng.random() >= self.p:
            return NoGeometry(size)
        height, width = self._draw_patch(size, rng)
        other = int(rng.integers(self.num_images))
        rows, columns = (
            [int(rng.integers(side - patch + 1)) for _ in range(2)] for side, patch in zip(size, (height, width))
        )
        is_mirrored = rng.random() < 0.5

        def paste(image: torch.Tensor) -> torch.Tensor:
            patch = self.read(other)[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width]
            changed = image.clone()
            changed[:, rows[1] : rows[1] + height, columns[1] : columns[1] + width] = (
                patch.flip(2) if is_mirrored else patch
            )
            return changed

        return PixelGeometry(size, paste)

    def _draw_patch(self, size: Size, rng: np.random.Generator) -> tuple[int, int]:
        for _ in range(_ATTEMPTS):
            area = rng.uniform(*_AREA) * size[0] * size[1]
            aspect = rng.uniform(*_ASPECT)
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < height < size[0] and 0 < width < size[1]:
                return height, width
        return max(1, size[0] // 4), max(1, size[1] // 4)
