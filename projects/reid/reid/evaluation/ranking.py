"""How well a gallery is ranked: CMC, mAP and mINP of the cross-camera protocol, without sorting the gallery.

A query's positives are few. What counts is how many negatives stand at or before each of them, and comparing a row of
distances with a number costs far less than sorting it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .distances import pairwise_distance

# From this many thresholds on, sorting a row costs less than comparing it with each.
_SORT_FROM = 64


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


def rank_distances(
    distances: ArrayLike | Tensor,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    *,
    max_rank: int = 50,
) -> RetrievalResult:
    """Rank a gallery by given distances.

    Gallery items with the identity *and* the camera of a query are left out for it (Market-1501, ICCV 2015). At equal
    distance every negative ranks before every positive: an embedding that cannot tell two images apart gets no credit.

    Args:
        distances: (Q, G), the smaller the more alike; infinities are allowed, NaN is not.
        query_pids: (Q,) integers.
        gallery_pids: (G,) integers.
        query_camids: (Q,) integers.
        gallery_camids: (G,) integers.
        max_rank: the length of `RetrievalResult.cmc`.

    Raises:
        ValueError: shapes that do not fit, an empty query or gallery set, NaN distances, or no query with a match.
    """
    matrix = distances.numpy(force=True) if isinstance(distances, Tensor) else np.asarray(distances)
    ranking = _Ranking(query_pids, gallery_pids, query_camids, gallery_camids)
    if matrix.shape != (ranking.num_queries, ranking.num_gallery):
        raise ValueError(
            f"expected distances of shape {(ranking.num_queries, ranking.num_gallery)} for these identities, "
            f"got {matrix.shape}"
        )
    ranking.add(matrix)
    return ranking.result(max_rank)


def evaluate_retrieval(
    query_features: Tensor,
    gallery_features: Tensor,
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    *,
    metric: str = "cosine",
    max_rank: int = 50,
    memory_mb: int = 256,
    device: torch.device | str = "cpu",
) -> RetrievalResult:
    """Rank a gallery by its features' distances, a block of queries at a time (see `rank_distances`).

    Args:
        query_features: (Q, D).
        gallery_features: (G, D).
        query_pids: (Q,) integers.
        gallery_pids: (G,) integers.
        query_camids: (Q,) integers.
        gallery_camids: (G,) integers.
        metric: "cosine" or "euclidean" (see `pairwise_distance`).
        max_rank: the length of `RetrievalResult.cmc`.
        memory_mb: how many MiB of distances are held at once; it does not change the result.
        device: where the distances are computed.

    Raises:
        ValueError: as `rank_distances` and `pairwise_distance`; memory_mb below 1.
    """
    ranking = _Ranking(query_pids, gallery_pids, query_camids, gallery_camids)
    if (len(query_features), len(gallery_features)) != (ranking.num_queries, ranking.num_gallery):
        raise ValueError(
            f"expected features of {ranking.num_queries} queries and {ranking.num_gallery} gallery items, as there are "
            f"identities; got {len(query_features)} and {len(gallery_features)}"
        )
    if memory_mb < 1:
        raise ValueError(f"memory_mb must be at least 1, got {memory_mb}")
    gallery_features = gallery_features.to(device)
    # float32, as pairwise_distance returns.
    rows = max(1, memory_mb * 2**20 // (4 * ranking.num_gallery))
    for block in query_features.split(rows):
        ranking.add(pairwise_distance(block.to(device), gallery_features, metric).numpy(force=True))
    return ranking.result(max_rank)


class _Ranking:
    """Takes rows of distances in the order of the queries and keeps three numbers of each."""

    def __init__(
        self, query_pids: ArrayLike, gallery_pids: ArrayLike, query_camids: ArrayLike, gallery_camids: ArrayLike
    ) -> None:
        self.query_pids, self.query_camids = _labels(query_pids, query_camids, "query")
        gallery, self._gallery_camids = _labels(gallery_pids, gallery_camids, "gallery")
        self.num_queries, self.num_gallery = len(self.query_pids), len(gallery)
        # One sort finds the few gallery items of an identity for every query.
        self._order = np.argsort(gallery, kind="stable")
        self._first = np.searchsorted(gallery, self.query_pids, side="left", sorter=self._order)
        self._last = np.searchsorted(gallery, self.query_pids, side="right", sorter=self._order)
        self._done = 0
        self._best_rank = np.zeros(self.num_queries, dtype=np.int64)
        self._ap = np.full(self.num_queries, np.nan)
        self._inp = np.full(self.num_queries, np.nan)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Rank the gallery for the next len(rows) queries."""
        if np.isnan(rows.min()):
            raise ValueError("some distances are NaN: nothing can be ranked by them")
        for row in rows:
            self._add_query(row)

    def _add_query(self, row: NDArray[np.floating]) -> None:
        query, self._done = self._done, self._done + 1
        same = self._order[self._first[query] : self._last[query]]
        positives = np.sort(row[same[self._gallery_camids[same] != self.query_camids[query]]])
        count = len(positives)
        if count == 0:
            return
        negatives = _count_up_to(positives, row) - _count_up_to(positives, row[same])
        found = np.arange(1, count + 1)
        ranks = negatives + found
        self._best_rank[query] = ranks[0]
        self._ap[query] = (found / ranks).mean()
        self._inp[query] = count / ranks[-1]

    def result(self, max_rank: int) -> RetrievalResult:
        """Return the figures of all queries."""
        if max_rank < 1:
            raise ValueError(f"max_rank must be at least 1, got {max_rank}")
        valid = self._best_rank > 0
        if not valid.any():
            raise ValueError(
                f"none of the {self.num_queries} queries has its identity in the gallery under another camera: check "
                "the camera and identity numbers of the test set"
            )
        ranks = self._best_rank[valid]
        cmc = np.bincount(ranks[ranks <= max_rank], minlength=max_rank + 1)[1:].cumsum() / len(ranks)
        return RetrievalResult(cmc=cmc, ap=self._ap, inp=self._inp, valid=valid)


def _count_up_to(thresholds: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return for each threshold how many values are not above it."""
    if len(thresholds) >= _SORT_FROM:
        return np.searchsorted(np.sort(values), thresholds, side="right")
    return np.array([np.count_nonzero(values <= threshold) for threshold in thresholds])


def _labels(pids: ArrayLike, camids: ArrayLike, which: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pid_array, camid_array = np.asarray(pids), np.asarray(camids)
    if pid_array.ndim != 1 or pid_array.shape != camid_array.shape:
        raise ValueError(
            f"expected one identity and one camera for each {which} item, got shapes {pid_array.shape} and "
            f"{camid_array.shape}"
        )
    if len(pid_array) == 0:
        raise ValueError(f"the {which} set is empty")
    return pid_array, camid_array
