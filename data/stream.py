"""The stream of samples: an infinite sequence that can be entered at any position."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

# What a generator is for is a part of its key: the order of epoch 3 must not share its numbers with sample 3.
_SAMPLE, _EPOCH, _RUN, _STEP = 0, 1, 2, 3


class Place(NamedTuple):
    """Where in the stream a sample stands; see StepMapper.

    Attributes:
        seed: the run's seed, >= 0.
        position: place in the global stream, >= 0.
        batch_size: samples of one optimizer step over all ranks and micro-batches.
    """

    seed: int
    position: int
    batch_size: int

    @property
    def step(self) -> int:
        """The optimizer step, from 0, of whose batch the sample is a part."""
        return self.position // self.batch_size

    def step_rng(self, period: int = 1) -> np.random.Generator:
        """Return random numbers that are the same for all samples of a step, on every rank.

        Args:
            period: steps in a row that get the same numbers, >= 1.
        """
        return step_rng(self.seed, self.step // period)


class Draw(NamedTuple):
    """One sample of the stream: which item, and where in the stream it was drawn."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    position: int


def sample_rng(seed: int, position: int) -> np.random.Generator:
    """Return the random numbers of the sample at `position`; the same on any machine, rank and worker.

    Args:
        seed: the run's seed, >= 0.
        position: place in the global stream, >= 0; sample i of step s with global batch size B is at s * B + i.

    Raises:
        ValueError: if either is negative.
    """
    return _generator(seed, _SAMPLE, position)


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the random numbers of what all samples of a step share, such as the size of its images; both >= 0."""
    return _generator(seed, _STEP, step)


def run_rng(seed: int) -> np.random.Generator:
    """Return the random numbers of what is drawn once for a whole run, such as a subset; `seed` >= 0."""
    return _generator(seed, _RUN, 0)


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    if number < 0:
        raise ValueError(f"expected a position, epoch or step >= 0, got {number}")
    # A spawn key is mixed in after the seed's own words, so a long seed cannot run into the number.
    sequence = np.random.SeedSequence(check_seed(seed), spawn_key=(purpose, number))
    return np.random.Generator(np.random.PCG64(sequence))


def check_seed(seed: int) -> int:
    """Return `seed` if it is one.

    Raises:
        ValueError: if it is negative. "Negative means random" is for the trainer to resolve, once for all ranks.
    """
    if seed < 0:
        raise ValueError(f"expected a seed >= 0, got {seed}: draw one on rank 0 and give every rank the same")
    return seed


class StreamSampler(ABC):
    """An infinite sequence of item indices, computed from (seed, position) through an order for each epoch.

    A subclass says how one epoch is ordered; it may use only the generator that it is given.

    Attributes:
        size: number of items, >= 1.
        seed: the seed of all orders, >= 0.
        group_size: positions [i * group_size, (i + 1) * group_size) belong together; no batch may cut them.
        batch_size: the global batch size that the order was made for; None fits any.
    """

    group_size: int = 1
    batch_size: int | None = None

    def __init__(self, size: int, seed: int = 0) -> None:
        if size < 1:
            raise ValueError(f"expected at least one item to sample from, got {size}: is the data set empty?")
        self.size = size
        self.seed = check_seed(seed)
        self._cached: tuple[int, np.ndarray] | None = None

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch; the same for every epoch."""
        return self.size

    @abstractmethod
    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch's item indices, int64, shape (epoch_length,)."""

    def order(self, epoch: int) -> np.ndarray:
        """Return the item indices of `epoch`, int64, shape (epoch_length,); the last one asked for is kept."""
        if self._cached is None or self._cached[0] != epoch:
            order = self.draw_order(_generator(self.seed, _EPOCH, epoch))
            assert order.shape == (self.epoch_length,), (order.shape, self.epoch_length)
            order.setflags(write=False)
            self._cached = (epoch, order)
        return self._cached[1]

    def index_at(self, position: int) -> int:
        """Return the item at `position` >= 0. Costs at most one epoch's order, however far the position."""
        epoch, offset = divmod(position, self.epoch_length)
        return int(self.order(epoch)[offset])
