"""The figures of a ranking."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RetrievalResult:
    """The figures of one ranking, as fractions in 0..1.

    Attributes:
        cmc: (max_rank,) share of valid queries with a positive among the first k + 1; constant beyond the gallery.
        ap: (Q,) average precision of each query; NaN where a query is not valid.
        inp: (Q,) inverse negative penalty (arXiv:2001.04193), number of positives / rank of the last; NaN likewise.
        valid: (Q,) whether the gallery holds the query's identity under another camera.
    """

    cmc: NDArray[np.float64]
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    valid: NDArray[np.bool_]

    @property
    def mean_ap(self) -> float:
        """MAP: the mean of `ap` over the valid queries."""
        return float(self.ap[self.valid].mean())

    @property
    def mean_inp(self) -> float:
        """MINP: the mean of `inp` over the valid queries."""
        return float(self.inp[self.valid].mean())

    @property
    def num_skipped(self) -> int:
        """The number of queries that were left out of every mean because they have no match."""
        return int((~self.valid).sum())

    def rank(self, k: int) -> float:
        """Return Rank-k: the share of valid queries with a positive among the first `k` (from 1 to max_rank)."""
        if not 1 <= k <= len(self.cmc):
            raise ValueError(f"Rank-{k} was not computed: choose k in 1..{len(self.cmc)} or raise max_rank")
        return float(self.cmc[k - 1])
