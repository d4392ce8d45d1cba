"""Data sets made of other data sets: concatenated, repeated, balanced, or a subset.

Their inputs and they themselves are sequences of items, so they can be nested; no item is copied. Random choices are
made once; to draw again in each epoch, use a sampler.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .items import Items, joint_fingerprint
from .repeat_factor import Labels, repeat_factors
from .weighted import draw_subset

T = TypeVar("T")


class ConcatDataset(Items[T]):
    """Several data sets, one after the other.

    Args:
        parts: the data sets; empty ones are allowed.
    """

    def __init__(self, *parts: Sequence[T]) -> None:
        self.parts = parts
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64).tolist()

    def item_at(self, index: int) -> T:
        """Return an item of the part that holds it."""
        part = bisect_right(self._ends, index)
        return self.parts[part][index - (self._ends[part] - len(self.parts[part]))]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def fingerprint(self) -> str | None:
        """Return a hash of the parts'."""
        return joint_fingerprint(self.parts, b"concat")


class RepeatDataset(Items[T]):
    """A data set, repeated.

    Args:
        items: the data set.
        times: >= 1.

    Raises:
        ValueError: `times` is below 1.
    """

    def __init__(self, items: Sequence[T], times: int) -> None:
        if times < 1:
            raise ValueError(f"expected to repeat a data set at least once, got {times} times")
        self.items = items
        self.times = times

    def item_at(self, index: int) -> T:
        """Return the item at `index` modulo the length of the data set."""
        return self.items[index % len(self.items)]

    def __len__(self) -> int:
        return len(self.items) * self.times

    def fingerprint(self) -> str | None:
        """Return a hash of the items' and of how often they come."""
        return joint_fingerprint([self.items], b"repeat %d" % self.times)


class Subset(Items[T]):
    """The items of a data set at given places, in that order; a place may come several times.

    Args:
        items: the data set.
        indices: places in it, each from 0 to its length - 1.

    Raises:
        IndexError: there is no such place.
    """

    def __init__(self, items: Sequence[T], indices: Sequence[int] | np.ndarray) -> None:
        self.items = items
        self.indices = np.asarray(indices, dtype=np.int64)
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < len(items)):
            raise IndexError(
                f"expected places from 0 to {len(items) - 1}, got {self.indices.min()} to {self.indices.max()}"
            )

    def item_at(self, index: int) -> T:
        """Return the item at a place."""
        return self.items[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def fingerprint(self) -> str | None:
        """Return a hash of the items' and of the places."""
        return joint_fingerprint([self.items], b"subset " + self.indices.tobytes())


class RandomSubset(Subset[T]):
    """A random part of a data set, in its order.

    Args:
        items: the data set; not empty.
        ratio: the share of it, in (0, 1]; at least one item is taken.
        seed: of the choice, >= 0.

    Raises:
        ValueError: the ratio is no share.
    """

    def __init__(self, items: Sequence[T], ratio: float, seed: int = 0) -> None:
        super().__init__(items, draw_subset(len(items), ratio, seed))


class ClassBalancedDataset(Subset[T]):
    """A data set in which the items of rare labels come several times: their repeat factor, rounded up.

    Args:
        items: the data set.
        labels: of each item: a label, or a list, tuple or set of them.
        oversample_thr: labels of a smaller share of the items are repeated; see `repeat_factors`.

    Raises:
        ValueError: the threshold is no share, or there is not a label for each item.
    """

    def __init__(self, items: Sequence[T], labels: Sequence[Labels], oversample_thr: float) -> None:
        if len(labels) != len(items):
            raise ValueError(f"expected a label for each of the {len(items)} items, got {len(labels)}")
        times = np.ceil(repeat_factors(labels, oversample_thr)).astype(np.int64)
        super().__init__(items, np.repeat(np.arange(len(items)), times))
