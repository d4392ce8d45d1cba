"""The stream of samples: an infinite sequence with random access."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

# The purpose of a generator is a part of its key: the order of epoch 3 must not use the random numbers of sample 3.
_SAMPLE, _EPOCH, _RUN, _STEP = 0, 1, 2, 3


class Place(NamedTuple):
    """The place of a sample in the stream; see StepMapper.

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
            period: number of consecutive steps with the same numbers, >= 1.
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
    """Return random numbers that all samples of a step share, for example for the image size; both >= 0."""
    return _generator(seed, _STEP, step)


def run_rng(seed: int) -> np.random.Generator:
    """Return random numbers for values that are drawn once for a whole run, such as a subset; `seed` >= 0."""
    return _generator(seed, _RUN, 0)


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    if number < 0:
        raise ValueError(f"expected a position, epoch or step >= 0, got {number}")
    # A spawn key is hashed separately from the seed, so a long seed cannot give the same state as another number.
    sequence = np.random.SeedSequence(check_seed(seed), spawn_key=(purpose, number))
    return np.random.Generator(np.random.PCG64(sequence))


def check_seed(seed: int) -> int:
    """Return `seed` if it is valid.

    Raises:
        ValueError: it is negative. The trainer replaces a negative seed by a drawn one, once for all ranks.
    """
    if seed < 0:
        raise ValueError(f"expected a seed >= 0, got {seed}: draw one on rank 0 and give every rank the same")
    return seed


class StreamSampler(ABC):
    """An infinite sequence of item indices, computed from (seed, position) through an order for each epoch.

    A subclass implements `draw_order`, the order of one epoch; it may use only the given generator.

    Attributes:
        size: number of items, >= 1.
        seed: the seed of all orders, >= 0.
        group_size: positions [i * group_size, (i + 1) * group_size) belong together, in one batch.
        batch_size: the global batch size that the order was made for; None: any batch size.
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
        """Return the item indices of `epoch`, int64, shape (epoch_length,); the last result is cached."""
        if self._cached is None or self._cached[0] != epoch:
            order = self.draw_order(_generator(self.seed, _EPOCH, epoch))
            assert order.shape == (self.epoch_length,), (order.shape, self.epoch_length)
            order.setflags(write=False)
            self._cached = (epoch, order)
        return self._cached[1]

    def index_at(self, position: int) -> int:
        """Return the item at `position` >= 0. For any position, it computes at most one epoch's order."""
        epoch, offset = divmod(position, self.epoch_length)
        return int(self.order(epoch)[offset])
