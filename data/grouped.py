"""Batches of items that belong together, such as images of similar proportions, which need little padding."""

from collections.abc import Sequence

import numpy as np

from .stream import StreamSampler


def aspect_ratio_groups(sizes: Sequence[tuple[float, float]], borders: Sequence[float] = (1.0,)) -> np.ndarray:
    """Return a group for each (width, height) by its ratio width / height.

    Args:
        sizes: in any unit, > 0.
        borders: increasing ratios at which a new group begins; 1 alone parts upright images (0) from others (1).

    Returns:
        int64, shape (items,), from 0 to len(borders).
    """
    width, height = np.asarray(sizes, dtype=np.float64).reshape(-1, 2).T
    return np.digitize(width / height, borders)


class GroupSampler(StreamSampler):
    """A stream of batches of which each holds items of one group only.

    An epoch holds every item once. Where a group does not fill its last batch, its first ones of the epoch come again,
    so an epoch is somewhat longer than the data set; a group smaller than a batch comes several times in its one. The
    batches of all groups are shuffled together.

    The *global* batch is of one group, not only each rank's part of it: so the batches are the same for every number of
    ranks, and every rank and micro-batch has images of the same proportions at the same time.

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
        """Number of samples in an epoch: the batches of each group, the last one filled up."""
        return sum(-(-len(members) // self.batch_size) for members in self._members) * self.batch_size

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: batch b is at [b * batch_size, (b + 1) * batch_size)."""
        batches = []
        for members in self._members:
            whole = -(-len(members) // self.batch_size) * self.batch_size
            batches.append(np.resize(rng.permutation(members), whole).reshape(-1, self.batch_size))
        return rng.permutation(np.concatenate(batches)).reshape(-1)
