"""Loaders of registered data sets, for projects that need no sampler or transform of their own."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from steploop.config import CfgNode

from .catalog import DatasetCatalog
from .loader import TrainLoader, build_test_loader
from .mapped import MappedDataset
from .samplers import StepBatchSampler, TrainingSampler


def as_it_is(item: Any, rng: np.random.Generator) -> Any:
    """Return the item: the mapper of data sets whose items are samples already."""
    return item


def train_loader_from_config(cfg: CfgNode, *, rank: int = 0, world_size: int = 1) -> TrainLoader:
    """Return an endless loader of all data sets in DATASETS.TRAIN together, shuffled in each epoch.

    A data set is a sequence of samples: dicts of tensors, numbers and strings.

    Raises:
        ValueError: DATASETS.TRAIN is empty, or the batch cannot be split over the processes.
        KeyError: a name is not registered in the DatasetCatalog.
    """
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN is empty: name at least one registered data set to train on")
    items: Sequence[Any] = list(chain.from_iterable(DatasetCatalog.get(name) for name in cfg.DATASETS.TRAIN))
    batches = StepBatchSampler(
        TrainingSampler(len(items), seed=cfg.SEED),
        cfg.SOLVER.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        micro_batches=cfg.SOLVER.ACCUMULATE,
    )
    dataset = MappedDataset(items, as_it_is, cfg.SEED)
    return TrainLoader(dataset, batches, num_workers=cfg.DATALOADER.NUM_WORKERS, seed=cfg.SEED)


def test_loader_from_config(cfg: CfgNode, name: str, *, rank: int = 0, world_size: int = 1) -> DataLoader[Any]:
    """Return a loader of this process's part of one registered data set, each sample once.

    Raises:
        KeyError: the name is not registered in the DatasetCatalog.
    """
    return build_test_loader(
        MappedDataset(list(DatasetCatalog.get(name)), as_it_is),
        cfg.TEST.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )
