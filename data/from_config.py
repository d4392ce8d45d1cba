"""Builds loaders from a config: of registered data sets, or of items that a project reads and maps itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from steploop.config import CfgNode

from .build_sampler import build_train_sampler
from .catalog import DatasetCatalog
from .collate import collate
from .loader import CollateFn, TrainLoader, build_test_loader
from .mapped import MappedDataset, Mapper
from .prefetch import Prefetcher, is_on_gpu, prefetched
from .records import as_records
from .samplers import StepBatchSampler
from .stream import StreamSampler
from .wrappers import ConcatDataset


def identity_mapper(item: Any, rng: np.random.Generator) -> Any:
    """Return the item: the mapper of data sets whose items are samples already."""
    return item


def train_loader_from_config(
    cfg: CfgNode,
    *,
    mapper: Mapper = identity_mapper,
    collate_fn: CollateFn = collate,
    rank: int = 0,
    world_size: int = 1,
) -> TrainLoader | Prefetcher:
    """Return an endless loader of all data sets in DATASETS.TRAIN together, in the order of DATALOADER.SAMPLER_TRAIN.

    A data set is a sequence of items; a list is converted to SharedRecords. If MODEL.DEVICE is a GPU, the tensors of a
    batch are on it.

    Args:
        cfg: the config.
        mapper: makes a sample of an item; by default items are samples: dicts of tensors, numbers and strings.
        collate_fn: makes a batch of a list of samples.
        rank: this process.
        world_size: number of processes.

    Raises:
        ValueError: DATASETS.TRAIN is empty, the batch cannot be split over the processes, or the items do not have the
            field that the sampler reads.
        KeyError: a name is not registered in the DatasetCatalog, or no sampler has that name.
    """
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN is empty: name at least one registered data set to train on")
    items = _joined(cfg.DATASETS.TRAIN)
    sampler = build_train_sampler(cfg, items, cfg.SEED)
    return build_train_loader(
        cfg, items, sampler, mapper=mapper, collate_fn=collate_fn, rank=rank, world_size=world_size
    )


def build_train_loader(
    cfg: CfgNode,
    dataset: MappedDataset | Sequence[Any],
    sampler: StreamSampler,
    *,
    mapper: Mapper | None = None,
    collate_fn: CollateFn = collate,
    rank: int = 0,
    world_size: int = 1,
) -> TrainLoader | Prefetcher:
    """Return an endless loader of a data set in the order of a sampler, with the settings of the config.

    A batch has SOLVER.IMS_PER_BATCH / world_size / SOLVER.ACCUMULATE samples. If MODEL.DEVICE is a GPU, its tensors are
    on it.

    Args:
        cfg: the config.
        dataset: a MappedDataset; or, with `mapper`, the items that it maps, with cfg.SEED. A list of items is converted
            to SharedRecords.
        sampler: the sampler of the items.
        mapper: makes a sample of an item; a StepMapper also gets the step.
        collate_fn: makes a batch of a list of samples, such as ``functools.partial(collate, ragged=("boxes",))``.
        rank: this process.
        world_size: number of processes.

    Raises:
        ValueError: the batch cannot be split over the processes and micro-batches.
        TypeError: there is a mapper for a MappedDataset, which already has one, or none for plain items.
    """
    if mapper is not None and not isinstance(dataset, MappedDataset):
        dataset = MappedDataset(as_records(dataset), mapper, cfg.SEED, batch_size=cfg.SOLVER.IMS_PER_BATCH)
    elif mapper is not None or not isinstance(dataset, MappedDataset):
        raise TypeError(f"expected a MappedDataset, or items and a mapper; got {type(dataset).__name__} and {mapper!r}")
    batches = StepBatchSampler(
        sampler,
        cfg.SOLVER.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        micro_batches=cfg.SOLVER.ACCUMULATE,
    )
    loader = TrainLoader(
        dataset,
        batches,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        seed=dataset.seed,
        collate_fn=collate_fn,
        pin_memory=is_on_gpu(cfg),
    )
    return prefetched(loader, cfg)


def test_loader_from_config(
    cfg: CfgNode,
    *names: str,
    mapper: Mapper = identity_mapper,
    collate_fn: CollateFn = collate,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Any]:
    """Return a loader of this process's part of registered data sets, one set after the other, each sample once.

    Args:
        cfg: the config.
        names: of the data sets.
        mapper: makes a sample of an item; by default items are samples.
        collate_fn: makes a batch of a list of samples.
        rank: this process.
        world_size: number of processes.

    Raises:
        KeyError: a name is not registered in the DatasetCatalog.
    """
    batch_size = cfg.TEST.IMS_PER_BATCH
    return build_test_loader(
        MappedDataset(_joined(names), mapper, batch_size=batch_size),
        batch_size,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        collate_fn=collate_fn,
        pin_memory=is_on_gpu(cfg),
    )


def _joined(names: Sequence[str]) -> Sequence[Any]:
    parts = [as_records(DatasetCatalog.get(name)) for name in names]
    return parts[0] if len(parts) == 1 else ConcatDataset(*parts)
