"""Select the samples of a rank, for training (endless) and for evaluation (each item once)."""

from collections.abc import Iterator
from itertools import count

import numpy as np
from torch.utils.data import Sampler

from .stream import Draw, StreamSampler


class TrainingSampler(StreamSampler):
    """Every item once in an epoch, in a new random order each time.

    Args:
        size: number of items.
        shuffle: False keeps the order of the data set.
        seed: seed of the orders, >= 0.
    """

    def __init__(self, size: int, shuffle: bool = True, seed: int = 0) -> None:
        super().__init__(size, seed)
        self.shuffle = shuffle

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return a permutation of all items."""
        return rng.permutation(self.size) if self.shuffle else np.arange(self.size)


class StepBatchSampler(Sampler[list[Draw]]):
    """Divides a sampler's stream into one rank's batches, from any step on, without end.

    The global batch of a step has the positions [step * batch_size, (step + 1) * batch_size), for any number of ranks.
    Rank r gets the r-th contiguous block, and yields it in `micro_batches` contiguous pieces, one by one.

    Args:
        sampler: the stream.
        batch_size: samples of one optimizer step, over all ranks and micro-batches.
        rank: this process, 0 <= rank < world_size.
        world_size: number of processes.
        micro_batches: pieces of a rank's block.

    Raises:
        ValueError: if the batch cannot be split evenly without cutting one of the sampler's groups, or if the sampler
            was made for another batch size.
    """

    def __init__(
        self, sampler: StreamSampler, batch_size: int, *, rank: int = 0, world_size: int = 1, micro_batches: int = 1
    ) -> None:
        _check_rank(rank, world_size)
        if micro_batches < 1:
            raise ValueError(f"expected at least one micro-batch, got {micro_batches}")
        if sampler.batch_size not in (None, batch_size):
            raise ValueError(f"the sampler was made for batches of {sampler.batch_size}, not of {batch_size}")
        check_multiple(
            batch_size,
            world_size * micro_batches * sampler.group_size,
            f"{world_size} ranks x {micro_batches} micro-batches x groups of {sampler.group_size}",
        )
        self.sampler = sampler
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.micro_batches = micro_batches
        self._step = 0

    def seek(self, step: int) -> None:
        """Make the next iterator start at `step` >= 0; existing iterators are not affected."""
        if step < 0:
            raise ValueError(f"expected a step >= 0, got {step}")
        self._step = step

    def draws_at(self, step: int) -> list[Draw]:
        """Return this rank's block of a step, all micro-batches together."""
        block = self.batch_size // self.world_size
        first = step * self.batch_size + self.rank * block
        return [Draw(self.sampler.index_at(p), p) for p in range(first, first + block)]

    def __iter__(self) -> Iterator[list[Draw]]:
        return self._pieces(self._step)

    def _pieces(self, start: int) -> Iterator[list[Draw]]:
        length = self.batch_size // self.world_size // self.micro_batches
        for step in count(start):
            draws = self.draws_at(step)
            yield from (draws[piece : piece + length] for piece in range(0, len(draws), length))


class InferenceSampler(Sampler[list[Draw]]):
    """Distributes the items to the ranks in batches, in order and each exactly once.

    Batch j has the items [j * batch_size, (j + 1) * batch_size) (the last one may be smaller) and goes to rank
    j % world_size. So the batches, and with them a model's rounding, are the same for any number of ranks. A rank may
    get one batch less than another, or none.

    Args:
        size: number of items; 0 gives no batch.
        batch_size: items of one batch on one rank.
        rank: this process, 0 <= rank < world_size.
        world_size: number of processes.
    """

    def __init__(self, size: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        _check_rank(rank, world_size)
        if batch_size < 1:
            raise ValueError(f"expected a batch size >= 1, got {batch_size}")
        self.size = size
        self.batch_size = batch_size
        self._starts = range(rank * batch_size, size, world_size * batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in self._starts:
            yield [Draw(i, i) for i in range(start, min(start + self.batch_size, self.size))]

    def __len__(self) -> int:
        return len(self._starts)


def check_multiple(batch_size: int, unit: int, reason: str) -> None:
    """Check that a batch size is a positive multiple of `unit`.

    Raises:
        ValueError: it is not; the message has `reason`, the factors of the unit, and the nearest valid sizes.
    """
    if batch_size > 0 and batch_size % unit == 0:
        return
    below = max(batch_size, 0) // unit * unit
    nearest = f"{below} or {below + unit}" if below else f"{unit}"
    raise ValueError(
        f"a global batch of {batch_size} cannot be split evenly: it must be a multiple of {unit} ({reason}); "
        f"the nearest valid size is {nearest} (SOLVER.IMS_PER_BATCH)"
    )


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"expected 0 <= rank < world_size, got rank {rank} of {world_size}")
