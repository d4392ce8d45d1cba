"""Oversampling by labels: items of rare labels are repeated."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import cast

import numpy as np

from .stream import StreamSampler

Labels = Hashable | Collection[Hashable]
"""The labels of an item: one label, or a list, tuple, set, array or tensor of them."""


def repeat_factors(labels: Sequence[Labels], threshold: float, *, sqrt: bool = True) -> np.ndarray:
    """Return how often each item should come in an epoch: ``max(1, sqrt(threshold / frequency))`` of its rarest label.

    The frequency of a label is the share of the items that have it (Gupta et al., LVIS, arXiv:1908.03195).

    Args:
        labels: of each item: a label, or a list, tuple, set, array or tensor of them; an item without any comes once.
        threshold: in [0, 1]; labels at least so frequent are not repeated, so 0 repeats none.
        sqrt: False takes ``threshold / frequency`` itself, which makes all labels below the threshold equally frequent.

    Returns:
        float64, shape (items,), each >= 1.

    Raises:
        ValueError: the threshold is no share.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"expected a threshold in [0, 1], a share of the items; got {threshold}")
    sets = [_as_set(label) for label in labels]
    counts = Counter(label for present in sets for label in present)
    ratios = {label: max(1.0, threshold * len(sets) / count) for label, count in counts.items()}
    factors = np.array([max((ratios[label] for label in present), default=1.0) for present in sets])
    return np.sqrt(factors) if sqrt else factors


class RepeatFactorTrainingSampler(StreamSampler):
    """Every item about as often in an epoch as its factor says, in random order.

    The epoch's length is the sum of the factors, rounded up, for every draw. The fraction of a factor is drawn again in
    each epoch: an item with factor 2.3 comes two or three times, and 2.3 times on average (up to the rounding of the
    length, less than 1 per epoch). The counts come from systematic sampling: the factors are intervals, placed end to
    end in random order, and an item comes once for each point of a grid with spacing 1 and a random offset that falls
    into its interval.

    Args:
        factors: how often each item comes in an epoch, each >= 1; see `repeat_factors`.
        shuffle: False keeps the order of the data set; how often an item comes is still drawn.
        seed: seed of the orders, >= 0.

    Raises:
        ValueError: there is no factor, or one is below 1 or not finite.
    """

    def __init__(self, factors: Sequence[float] | np.ndarray, *, shuffle: bool = True, seed: int = 0) -> None:
        self._factors = np.asarray(factors, dtype=np.float64)
        super().__init__(len(self._factors), seed)
        if not (np.isfinite(self._factors).all() and (self._factors >= 1).all()):
            raise ValueError(f"expected finite repeat factors >= 1, got a smallest one of {self._factors.min()}")
        self.shuffle = shuffle
        self._total = float(self._factors.sum())

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch: the sum of the factors, rounded up."""
        return int(np.ceil(self._total))

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: each item as often as the whole part of its factor, or once more."""
        laid = rng.permutation(self.size)
        ends = np.cumsum(self._factors[laid]) * (self.epoch_length / self._total)
        ends[-1] = self.epoch_length  # exactly; the product above has rounding errors
        # A multiple of 2**-20, so that the last difference, and with it the length of the epoch, is exact.
        offset = rng.integers(2**20) / 2**20
        counts = np.diff(np.ceil(ends - offset), prepend=0).astype(np.int64)
        drawn = np.repeat(laid, counts)
        return rng.permutation(drawn) if self.shuffle else np.sort(drawn)


def _as_set(label: Labels) -> set[Hashable]:
    if hasattr(label, "tolist"):  # tensors are hashable, but equal ones are not the same
        label = label.tolist()
    return set(label) if isinstance(label, (list, tuple, set, frozenset)) else {cast(Hashable, label)}
