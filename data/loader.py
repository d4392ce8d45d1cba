"""Loaders with worker processes: endless from any step (training), or each item once (evaluation)."""

import signal
from collections.abc import Callable, Iterator, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from .batches import Batches, WorkerLoader
from .collate import collate
from .samplers import InferenceSampler, StepBatchSampler

CollateFn = Callable[[list[Any]], Any]


class TrainLoader:
    """An infinite loader that can start at any step.

    Each iterator starts at the step of the last `seek` and closes the previous iterator. Workers and their memory live
    as long as the iterator: `close` ends them.

    Args:
        dataset: indexed with a `Draw`; see MappedDataset.
        batch_sampler: selects the samples of this rank.
        num_workers: number of processes that prepare batches in advance; 0 uses this process. The batches are the same.
        seed: seed of the workers' own generators, >= 0; no sample of a MappedDataset depends on it.
        collate_fn: makes a batch of a list of samples.
        pin_memory: put batches into page-locked memory, for a faster copy to a GPU.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_sampler: StepBatchSampler,
        *,
        num_workers: int = 0,
        seed: int = 0,
        collate_fn: CollateFn = collate,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self._loader = _data_loader(dataset, batch_sampler, num_workers, seed, collate_fn, pin_memory)
        self._batches: Batches | None = None

    @property
    def batch_size(self) -> int:
        """Samples of one optimizer step over all ranks and micro-batches."""
        return self.batch_sampler.batch_size

    @property
    def epoch_length(self) -> int:
        """Samples of one epoch over all ranks."""
        return self.batch_sampler.sampler.epoch_length

    def items_at(self, step: int) -> list[Any]:
        """Return the items of this rank's part of a step's batch, without reading them."""
        draws = self.batch_sampler.draws_at(step)
        items = getattr(self.dataset, "items", None)
        return list(draws) if items is None else [items[draw.index] for draw in draws]

    def seek(self, step: int) -> None:
        """Make the next iterator start at `step` >= 0; the cost is that of one epoch's order."""
        self.batch_sampler.seek(step)

    def __iter__(self) -> Iterator[Any]:
        self.close()
        self._batches = iter(self._loader)
        return self._batches

    def close(self) -> None:
        """End the running iterator and its workers. The loader can be iterated over again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None


def build_test_loader(
    dataset: Dataset[Any],
    batch_size: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    collate_fn: CollateFn = collate,
    pin_memory: bool = False,
) -> DataLoader[Any]:
    """Return a finite loader of this rank's share of the items; see InferenceSampler for which those are.

    Raises:
        TypeError: if the data set has no length.
    """
    if not isinstance(dataset, Sized):
        raise TypeError(f"expected a data set with a length, got {type(dataset).__name__}")
    sampler = InferenceSampler(len(dataset), batch_size, rank=rank, world_size=world_size)
    return _data_loader(dataset, sampler, num_workers, 0, collate_fn, pin_memory)


def _data_loader(
    dataset: Dataset[Any],
    batch_sampler: StepBatchSampler | InferenceSampler,
    num_workers: int,
    seed: int,
    collate_fn: CollateFn,
    pin_memory: bool,
) -> WorkerLoader:
    return WorkerLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=num_workers,
        collate_fn=collate_fn,
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals,
        # Without a generator, each iterator would draw its workers' seed from the global one and so change its state.
        generator=torch.Generator().manual_seed(seed),
    )


def _ignore_signals(worker_id: int) -> None:
    # A terminal or a scheduler sends them to every process; only the main one acts on them, and ends its workers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
