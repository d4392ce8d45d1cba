"""Loaders of registered data sets, for projects that need no sampler or transform of their own."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from steploop.config import CfgNode

from .build_sampler import build_train_sampler
from .catalog import DatasetCatalog
from .loader import TrainLoader, build_test_loader
from .mapped import MappedDataset
from .prefetch import Prefetcher, is_on_gpu, prefetched
from .samplers import StepBatchSampler
from .stream import StreamSampler


def as_it_is(item: Any, rng: np.random.Generator) -> Any:
    """Return the item: the mapper of data sets whose items are samples already."""
    return item


def train_loader_from_config(cfg: CfgNode, *, rank: int = 0, world_size: int = 1) -> TrainLoader | Prefetcher:
    """Return an endless loader of all data sets in DATASETS.TRAIN together, in the order of DATALOADER.SAMPLER_TRAIN.

    A data set is a sequence of samples: dicts of tensors, numbers and strings. Where MODEL.DEVICE is a GPU, the tensors
    of a batch are there.

    Raises:
        ValueError: DATASETS.TRAIN is empty, the batch cannot be split over the processes, or the sampler looks at a
            field that the samples lack.
        KeyError: a name is not registered in the DatasetCatalog, or no sampler has that name.
    """
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN is empty: name at least one registered data set to train on")
    items: Sequence[Any] = list(chain.from_iterable(DatasetCatalog.get(name) for name in cfg.DATASETS.TRAIN))
    sampler = build_train_sampler(cfg, items, cfg.SEED)
    dataset = MappedDataset(items, as_it_is, cfg.SEED)
    return build_train_loader(cfg, dataset, sampler, rank=rank, world_size=world_size)


def build_train_loader(
    cfg: CfgNode, dataset: MappedDataset, sampler: StreamSampler, *, rank: int = 0, world_size: int = 1
) -> TrainLoader | Prefetcher:
    """Return an endless loader of a data set in the order of a sampler, as the config wants it.

    A batch has SOLVER.IMS_PER_BATCH / world_size / SOLVER.ACCUMULATE samples. Where MODEL.DEVICE is a GPU, its tensors
    are there.

    Raises:
        ValueError: the batch cannot be split over the processes and micro-batches.
    """
    batches = StepBatchSampler(
        sampler,
        cfg.SOLVER.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        micro_batches=cfg.SOLVER.ACCUMULATE,
    )
    workers = cfg.DATALOADER.NUM_WORKERS
    loader = TrainLoader(dataset, batches, num_workers=workers, seed=dataset.seed, pin_memory=is_on_gpu(cfg))
    return prefetched(loader, cfg)


def test_loader_from_config(cfg: CfgNode, *names: str, rank: int = 0, world_size: int = 1) -> DataLoader[Any]:
    """Return a loader of this process's part of registered data sets, one set after the other, each sample once.

    Raises:
        KeyError: a name is not registered in the DatasetCatalog.
    """
    items: Sequence[Any] = list(chain.from_iterable(DatasetCatalog.get(name) for name in names))
    return build_test_loader(
        MappedDataset(items, as_it_is),
        cfg.TEST.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        pin_memory=is_on_gpu(cfg),
    )
