"""Verification: how many pairs of one identity are accepted where few pairs of two identities are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

FALSE_POSITIVE_RATES = (1e-4, 1e-3, 1e-2)


class Verification:
    """Takes rows of distances of queries to a gallery and measures true positive rates at false positive rates.

    A pair is positive if it has one identity; pairs of one identity *and* one camera are left out. A pair is accepted
    up to a threshold of the distance, the largest one at which the false positive rate is at most the given one.

    Args:
        query_pids: (Q,) integers.
        gallery_pids: (G,) integers.
        query_camids: (Q,) integers.
        gallery_camids: (G,) integers.
        rates: the false positive rates, in 0..1.
    """

    def __init__(
        self,
        query_pids: ArrayLike,
        gallery_pids: ArrayLike,
        query_camids: ArrayLike,
        gallery_camids: ArrayLike,
        rates: Sequence[float] = FALSE_POSITIVE_RATES,
    ) -> None:
        self._query = np.asarray(query_pids), np.asarray(query_camids)
        self._gallery = np.asarray(gallery_pids), np.asarray(gallery_camids)
        self.rates = tuple(rates)
        pids, query_counts = np.unique(self._query[0], return_counts=True)
        counts = dict(zip(*np.unique(self._gallery[0], return_counts=True)))
        same = sum(int(n) * int(counts.get(pid, 0)) for pid, n in zip(pids, query_counts))
        self.num_negatives = len(self._query[0]) * len(self._gallery[0]) - same
        # Only these can be a threshold: the nearest negatives, so many as the largest rate accepts, and one more.
        self._kept = self._accepted(max(self.rates)) + 1
        self._done = 0
        self._positives: list[NDArray[np.floating]] = []
        self._negatives: NDArray[np.floating] = np.empty(0, dtype=np.float32)

    def add(self, distances: NDArray[np.floating] | Tensor) -> None:
        """Take the distances (R, G) of the next queries."""
        rows = distances.numpy(force=True) if isinstance(distances, Tensor) else distances
        part = slice(self._done, self._done + len(rows))
        self._done += len(rows)
        same = self._query[0][part, None] == self._gallery[0]
        other_camera = self._query[1][part, None] != self._gallery[1]
        self._positives.append(rows[same & other_camera])
        negatives = np.concatenate((self._negatives, rows[~same]))
        if len(negatives) > self._kept:
            negatives = np.partition(negatives, self._kept - 1)[: self._kept]
        self._negatives = negatives

    def _accepted(self, rate: float) -> int:
        """Return how many negatives may be accepted; 0.29 * 100 is a little below 29 in floating point."""
        return int(rate * self.num_negatives * (1 + 1e-12))

    def true_positive_rates(self) -> dict[float, float]:
        """Return the true positive rate, in 0..1, by false positive rate.

        Raises:
            ValueError: there is no pair of one identity, or none of two.
        """
        positives, negatives = np.concatenate(self._positives), np.sort(self._negatives)
        if not len(positives) or not self.num_negatives:
            raise ValueError(
                f"verification needs pairs of one identity and of two, got {len(positives)} and {self.num_negatives}"
            )
        rates = {}
        for rate in self.rates:
            accepted = self._accepted(rate)
            limit = negatives[accepted] if accepted < len(negatives) else np.inf
            rates[rate] = float((positives < limit).mean())
        return rates
