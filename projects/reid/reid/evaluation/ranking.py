"""How well a gallery is ranked: CMC, mAP and mINP of the cross-camera protocol, without sorting the gallery.

A query's positives are few. What counts is how many negatives stand at or before each of them, and comparing a row of
distances with a number costs far less than sorting it.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .counting import count_up_to
from .distances import distance_blocks
from .result import RetrievalResult

# Queries and their pairs with images of the same identity that are prepared in the same calls: 30 MB at most.
_TOGETHER = 256
_PAIRS = 2**18


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
    matrix = distances if isinstance(distances, Tensor) else np.asarray(distances)
    ranking = Ranking(query_pids, gallery_pids, query_camids, gallery_camids)
    if matrix.shape != (ranking.num_queries, ranking.num_gallery):
        raise ValueError(
            f"expected distances of shape {(ranking.num_queries, ranking.num_gallery)} for these identities, "
            f"got {tuple(matrix.shape)}"
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
    memory_mib: int = 512,
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
        memory_mib: what this may take beside the features (see `distance_blocks`); it does not change the result.
        device: where the distances are computed and counted.

    Raises:
        ValueError: as `rank_distances` and `pairwise_distance`; memory_mib does not hold one query's distances.
    """
    ranking = Ranking(query_pids, gallery_pids, query_camids, gallery_camids)
    if (len(query_features), len(gallery_features)) != (ranking.num_queries, ranking.num_gallery):
        raise ValueError(
            f"expected features of {ranking.num_queries} queries and {ranking.num_gallery} gallery items, as there are "
            f"identities; got {len(query_features)} and {len(gallery_features)}"
        )
    for block in distance_blocks(query_features, gallery_features.to(device), metric, memory_mib=memory_mib):
        ranking.add(block)
    return ranking.result(max_rank)


class Ranking:
    """Takes rows of distances in the order of the queries, as many at a time as one likes, and ranks the gallery.

    Args:
        query_pids: (Q,) integers.
        gallery_pids: (G,) integers.
        query_camids: (Q,) integers.
        gallery_camids: (G,) integers.

    Raises:
        ValueError: shapes that do not fit, or an empty query or gallery set.
    """

    def __init__(
        self, query_pids: ArrayLike, gallery_pids: ArrayLike, query_camids: ArrayLike, gallery_camids: ArrayLike
    ) -> None:
        query, self._query_camids = _labels(query_pids, query_camids, "query")
        gallery, self._gallery_camids = _labels(gallery_pids, gallery_camids, "gallery")
        self.num_queries, self.num_gallery = len(query), len(gallery)
        # One sort finds the few gallery items of an identity for every query.
        self._order = np.argsort(gallery, kind="stable")
        self._first = np.searchsorted(gallery, query, side="left", sorter=self._order)
        self._sizes = np.searchsorted(gallery, query, side="right", sorter=self._order) - self._first
        self._done = 0
        self._best_rank = np.zeros(self.num_queries, dtype=np.int64)
        self._ap = np.full(self.num_queries, np.nan)
        self._inp = np.full(self.num_queries, np.nan)

    def add(self, distances: NDArray[np.number] | Tensor) -> None:
        """Rank the gallery for the next queries.

        Args:
            distances: (R, G); a tensor on a GPU is counted there.

        Raises:
            ValueError: another shape, more rows than there are queries left, or NaN.
        """
        left = self.num_queries - self._done
        if distances.ndim != 2 or len(distances) > left or distances.shape[1] != self.num_gallery:
            raise ValueError(
                f"expected distances of at most {left} queries to {self.num_gallery} gallery items, got shape "
                f"{tuple(distances.shape)}"
            )
        rows: NDArray[np.number] | Tensor = distances
        if isinstance(rows, Tensor) and rows.device.type == "cpu":
            rows = _to_numpy(rows)
        together = max(1, min(_TOGETHER, _PAIRS // max(1, self._sizes.max())))
        for start in range(0, len(rows), together):
            self._rank(rows[start : start + together])

    def _rank(self, rows: NDArray[np.number] | Tensor) -> None:
        if np.isnan(float(rows.min())):
            raise ValueError("some distances are NaN: nothing can be ranked by them")
        queries = slice(self._done, self._done + len(rows))
        self._done = queries.stop
        row, values, positive = self._same_identity(rows, queries)
        same = _not_after(row, values) - _starts(np.bincount(row, minlength=len(rows)))[row]
        # Only positives from here on. What is as near as one of them and of another identity ranks before it.
        row, values, same = row[positive], values[positive], same[positive]
        sizes = np.bincount(row, minlength=len(rows))
        starts = _starts(sizes)
        found = np.arange(1, len(row) + 1) - starts[row]
        ranks = count_up_to(rows, values, sizes) - same + found
        precision = np.bincount(row, weights=found / ranks, minlength=len(rows))
        valid = sizes > 0
        starts, sizes = starts[valid], sizes[valid]
        self._best_rank[queries][valid] = ranks[starts]
        self._ap[queries][valid] = precision[valid] / sizes
        self._inp[queries][valid] = sizes / ranks[starts + sizes - 1]

    def _same_identity(
        self, rows: NDArray[np.number] | Tensor, queries: slice
    ) -> tuple[NDArray[np.int64], NDArray[np.number], NDArray[np.bool_]]:
        """Return row, distance and "other camera" of all pairs of one identity, in the order of row and distance."""
        first, sizes = self._first[queries], self._sizes[queries]
        row = np.repeat(np.arange(len(rows)), sizes)
        item = self._order[np.arange(len(row)) + np.repeat(first - _starts(sizes), sizes)]
        values = _take(rows, row, item)
        positive = self._gallery_camids[item] != self._query_camids[queries][row]
        order = np.lexsort((values, row))
        return row[order], values[order], positive[order]

    def result(self, max_rank: int = 50) -> RetrievalResult:
        """Return the figures of all queries, with a CMC of length `max_rank`.

        Raises:
            ValueError: max_rank is below 1, rows are missing, or no query has a match.
        """
        if max_rank < 1:
            raise ValueError(f"max_rank must be at least 1, got {max_rank}")
        if self._done < self.num_queries:
            raise ValueError(f"got distances of {self._done} queries out of {self.num_queries}: add the others first")
        valid = self._best_rank > 0
        if not valid.any():
            raise ValueError(
                f"none of the {self.num_queries} queries has its identity in the gallery under another camera: check "
                "the camera and identity numbers of the test set"
            )
        ranks = self._best_rank[valid]
        cmc = np.bincount(ranks[ranks <= max_rank], minlength=max_rank + 1)[1:].cumsum() / len(ranks)
        return RetrievalResult(cmc=cmc, ap=self._ap, inp=self._inp, valid=valid)


def _to_numpy(values: Tensor) -> NDArray[np.number]:
    """Return the same values as an array; numpy has no bfloat16."""
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy(force=True)


def _take(rows: NDArray[np.number] | Tensor, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.number]:
    if isinstance(rows, Tensor):
        return _to_numpy(rows[torch.from_numpy(row), torch.from_numpy(column)])
    return rows[row, column]


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return sizes.cumsum() - sizes


def _not_after(row: NDArray[np.int64], values: NDArray[np.number]) -> NDArray[np.int64]:
    """Return for each of the sorted pairs how many pairs there are up to the last one that is equal to it."""
    last = np.ones(len(row), dtype=np.bool_)
    last[:-1] = (row[1:] != row[:-1]) | (values[1:] != values[:-1])
    return np.flatnonzero(last)[last.cumsum() - last] + 1


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
