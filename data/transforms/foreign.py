"""Transforms of other libraries."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .base import Transform
from .geometry import PixelGeometry
from .images import Size


class Seeded(Transform):
    """Makes a transform ``t(image)`` of another library, which moves no boxes, a function of the sample.

    Such transforms draw from the global generators of random, numpy and torch (on the CPU). These are seeded from the
    sample's generator for the call; their states are restored after it, also if it fails.
    """

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        self.transform = transform

    def draw(self, size: Size, rng: np.random.Generator) -> PixelGeometry:
        """Draw a seed: the foreign transform makes the same of each frame of a clip."""
        seed = int(rng.integers(2**32))
        return PixelGeometry(size, lambda image: self._transformed(image, seed))

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Call the foreign transform; `image` may be anything that it takes."""
        return self._transformed(image, int(rng.integers(2**32)))

    def _transformed(self, image: Any, seed: int) -> Any:
        saved = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            return self.transform(image)
        finally:
            random.setstate(saved[0])
            np.random.set_state(saved[1])
            torch.default_generator.set_state(saved[2])
