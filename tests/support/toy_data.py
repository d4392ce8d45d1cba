"""Items, mappers and transforms that worker processes can find."""

import random

import numpy as np
import torch

from steploop.data import MappedDataset, Seeded, StepBatchSampler, TrainingSampler, TrainLoader


def noisy(item: int, rng: np.random.Generator) -> dict[str, object]:
    if item < 0:
        raise KeyError("negative")
    return {"item": item, "noise": torch.from_numpy(rng.normal(size=3)), "name": f"item {item}"}


def foreign(item: int) -> float:
    return random.random() + np.random.rand() + torch.rand(1).item()


def with_foreign(item: int, rng: np.random.Generator) -> dict[str, object]:
    return {"value": torch.tensor(Seeded(foreign)(item, rng))}


def loader(items=tuple(range(20)), *, mapper=noisy, seed=4, **kwargs) -> TrainLoader:
    batches = StepBatchSampler(TrainingSampler(len(items), seed=seed), 4)
    return TrainLoader(MappedDataset(items, mapper, seed), batches, seed=seed, **kwargs)
