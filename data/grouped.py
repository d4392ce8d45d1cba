"""Samplers whose batches have items of one group, such as images of similar proportions, which need little padding."""

from collections.abc import Sequence

import numpy as np

from .stream import StreamSampler


def aspect_ratio_groups(sizes: Sequence[tuple[float, float]], borders: Sequence[float] = (1.0,)) -> np.ndarray:
    """Return a group for each (width, height) by its ratio width / height.

    Args:
        sizes: in any unit, > 0.
        borders: increasing ratios at which a new group begins; 1 alone separates upright images (0) from others (1).

    Returns:
        int64, shape (items,), from 0 to len(borders).
    """
    width, height = np.asarray(sizes, dtype=np.float64).reshape(-1, 2).T
    return np.digitize(width / height, borders)


class GroupSampler(StreamSampler):
    """A stream of batches, each with items of one group only.

    An epoch has every item at least once. If a group does not fill its last batch, its first items of the epoch are
    repeated, so an epoch is a little longer than the data set; items of a group smaller than a batch can be repeated
    several times. The batches of all groups are shuffled together.

    The whole *global* batch has one group, not only each rank's part of it. So the batches are the same for every
    number of ranks, and all ranks and micro-batches of a step have images of the same proportions.

    Args:
        groups: the group of each item.
        batch_size: samples of one optimizer step, over all ranks and micro-batches.
        seed: seed of the orders, >= 0.

    Raises:
        ValueError: there is no item, or the batch size is below 1.
    """

    def __init__(self, groups: Sequence[int] | Sequence[str] | np.ndarray, batch_size: int, *, seed: int = 0) -> None:
        super().__init__(len(groups), seed)
        if batch_size < 1:
            raise ValueError(f"expected a batch size >= 1, got {batch_size}")
        self.batch_size: int = batch_size
        _, inverse = np.unique(np.asarray(groups), return_inverse=True)
        self._members = [np.flatnonzero(inverse == group) for group in range(inverse.max() + 1)]

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch: the full batches of each group."""
        return sum(-(-len(members) // self.batch_size) for members in self._members) * self.batch_size

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: batch b is at [b * batch_size, (b + 1) * batch_size)."""
        batches = []
        for members in self._members:
            whole = -(-len(members) // self.batch_size) * self.batch_size
            batches.append(np.resize(rng.permutation(members), whole).reshape(-1, self.batch_size))
        return rng.permutation(np.concatenate(batches)).reshape(-1)


class GroupedSampler(StreamSampler):
    """Another sampler's stream, reordered within each epoch so that a batch has items of one group only.

    A batch comes when its last sample is drawn, so batches keep the order of the stream. An epoch has as many batches
    as the samples of the stream fill. At its end, the remaining samples of a group are completed with the group's first
    samples of the epoch, the largest remainder first; remainders beyond the number of batches are skipped, different
    ones in each epoch. Samples that belong together (`group_size`) stay together, in the group of most of them; if a
    group has fewer samples than a batch, a batch has some of them twice.

    The whole *global* batch has one group, as for GroupSampler. Only GroupSampler has every item in each epoch.

    Args:
        sampler: the stream.
        groups: the group of each item.
        batch_size: samples of one optimizer step, over all ranks and micro-batches.

    Raises:
        ValueError: there is not a group for each item, or the batch size is no multiple of the sampler's `group_size`.
    """

    def __init__(
        self, sampler: StreamSampler, groups: Sequence[int] | Sequence[str] | np.ndarray, batch_size: int
    ) -> None:
        super().__init__(sampler.size, sampler.seed)
        if len(groups) != sampler.size:
            raise ValueError(f"expected a group for each of the {sampler.size} items, got {len(groups)}")
        if batch_size < 1 or batch_size % sampler.group_size:
            raise ValueError(f"expected a batch size that is a multiple of {sampler.group_size}, got {batch_size}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.group_size = sampler.group_size
        names, self._groups = np.unique(np.asarray(groups), return_inverse=True)
        self._num_groups = len(names)

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch: those of the sampler's epoch, rounded up to full batches."""
        assert self.batch_size is not None
        return -(-self.sampler.epoch_length // self.batch_size) * self.batch_size

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: batch b is at [b * batch_size, (b + 1) * batch_size)."""
        assert self.batch_size is not None
        units = self.sampler.draw_order(rng).reshape(-1, self.group_size)
        votes = (self._groups[units][..., None] == np.arange(self._num_groups)).sum(axis=1)
        groups, per_batch = votes.argmax(axis=1), self.batch_size // self.group_size
        whole, rests = [], []
        for group in range(self._num_groups):
            members = np.flatnonzero(groups == group)
            rest = len(members) % per_batch
            whole.append(members[: len(members) - rest].reshape(-1, per_batch))
            if rest:
                rests.append((rest, np.resize(np.roll(members, rest), per_batch)))
        batches = np.concatenate(whole)
        batches = batches[np.argsort(batches[:, -1])]
        missing = self.epoch_length // self.batch_size - len(batches)
        rests.sort(key=lambda pair: -pair[0])
        return units[np.concatenate([batches.reshape(-1), *(batch for _, batch in rests[:missing])])].reshape(-1)
