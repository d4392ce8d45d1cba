"""Images that are made of numbers, by functions that worker processes can find."""

from pathlib import Path

import numpy as np
import torch

from steploop.data import ImageCache

SHAPE = (3, 6, 5)


def image_of(number: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(number).integers(0, 256, size=SHAPE, dtype=np.uint8))


class CachedMapper:
    """Makes a sample of a number's image and some noise; leaves a letter in a file for each image that it makes."""

    def __init__(self, log: Path, cache: ImageCache | None) -> None:
        self.log = log
        self.cache = cache

    def __call__(self, item: int, rng: np.random.Generator) -> dict[str, object]:
        image = self.make(item) if self.cache is None else self.cache.get(item, lambda: self.make(item))
        return {"image": image ^ torch.from_numpy(rng.integers(0, 256, size=SHAPE, dtype=np.uint8))}

    def make(self, item: int) -> torch.Tensor:
        with self.log.open("a") as file:
            file.write(".")
        return image_of(item)
