"""k-reciprocal encoding: which images see each other among their nearest, as sparse weights (arXiv:1701.08398).

Each image i gets a row of weights over all images. They are positive for its expanded reciprocal neighbours. Rows have
some dozens of entries, so that the whole is small and the Jaccard distance of two rows costs little.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
PairDistance = Callable[[Ints, Ints], NDArray[np.floating]]
"""Maps rows (R, 1) and columns (R, W) to the distances (R, W) of these pairs."""

# Rows that are looked at together; the candidates of a block of 128 rows are below 128 * 20 * 11 * 20 comparisons.
_ROWS = 128
_NONE = -1


class SparseRows(NamedTuple):
    """Rows of weights: row i has ``columns[starts[i] : starts[i + 1]]``, ascending, and its `values` likewise."""

    starts: Ints
    columns: NDArray[np.int32]
    values: NDArray[np.float32]


def encode(neighbours: NDArray[np.int32], half: int, pair_distance: PairDistance, k2: int) -> SparseRows:
    """Return the encoding of all images.

    The reciprocal neighbours R(i) of an image are those of its neighbours that have it among theirs. R(i) grows by the
    reciprocal sets, of `half` neighbours, of its members, where more than 2/3 of such a set is in R(i). The weights are
    ``softmax(-distance)`` over the grown set, and then the mean of the rows of the first `k2` neighbours.

    Args:
        neighbours: (N, k1) the nearest images, from near to far, itself first.
        half: the number of neighbours in the sets that R(i) grows by.
        pair_distance: the distance that the weights come from.
        k2: the number of rows in a mean; 1 leaves the weights as they are.
    """
    # An image is one of its neighbours, also where more than k1 others equal it.
    images = np.arange(len(neighbours), dtype=np.int32)
    lacking = ~(neighbours == images[:, None]).any(axis=1)
    neighbours = neighbours.copy()
    neighbours[lacking, -1] = images[lacking]
    mutual, mutual_half = (_mutual(neighbours[:, :k]) for k in (neighbours.shape[1], half))
    blocks = []
    for start in range(0, len(neighbours), _ROWS):
        members = _grow(slice(start, start + _ROWS), mutual, mutual_half)
        rows = np.arange(start, start + len(members))[:, None]
        used = members != _NONE
        distances = np.where(used, pair_distance(rows, np.where(used, members, rows)), np.inf)
        weights = np.exp(distances.min(axis=1, keepdims=True) - distances)
        weights /= weights.sum(axis=1, keepdims=True)
        blocks.append(_compress(members, weights))
    encoding = _join(blocks)
    return encoding if k2 == 1 else _mean_rows(encoding, neighbours[:, :k2])


def _mutual(neighbours: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return `neighbours` with -1 in place of those that do not have the row's image among theirs."""
    mutual = neighbours.copy()
    for start in range(0, len(neighbours), _ROWS):
        block = mutual[start : start + _ROWS]
        rows = np.arange(start, start + len(block), dtype=np.int32)[:, None, None]
        block[~(neighbours[block] == rows).any(axis=2)] = _NONE
    return mutual


def _grow(rows: slice, mutual: NDArray[np.int32], mutual_half: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the grown sets of some rows (R, W), each number once, ascending, and -1 where there is no further one."""
    own = mutual[rows]
    # The last row of -1s is the set of "no candidate".
    sets = np.where((own != _NONE)[:, :, None], mutual_half[own], _NONE)
    in_own = (sets[:, :, :, None] == own[:, None, None, :]).any(axis=3) & (sets != _NONE)
    joins = in_own.sum(axis=2) * 3 > 2 * (sets != _NONE).sum(axis=2)
    candidates = np.where(joins[:, :, None], sets, _NONE).reshape(len(own), -1)
    members = np.sort(np.concatenate((own, candidates), axis=1), axis=1)
    members[:, 1:][members[:, 1:] == members[:, :-1]] = _NONE
    # Largest first, so that the -1s can be cut off at the end.
    members = -np.sort(-members, axis=1)
    return members[:, : int((members != _NONE).sum(axis=1).max())]


def _compress(members: NDArray[np.int32], weights: NDArray[np.floating]) -> SparseRows:
    used = members[:, ::-1] != _NONE
    sizes = used.sum(axis=1)
    return SparseRows(_starts(sizes), members[:, ::-1][used], weights[:, ::-1][used].astype(np.float32))


def _mean_rows(encoding: SparseRows, neighbours: NDArray[np.int32]) -> SparseRows:
    """Return the mean of the rows of each image's `neighbours` (N, k2)."""
    blocks = []
    for start in range(0, len(neighbours), _ROWS):
        block = neighbours[start : start + _ROWS]
        entries, sizes = entries_of(encoding.starts, block.reshape(-1))
        row = np.repeat(np.arange(len(block)), sizes.reshape(block.shape).sum(axis=1))
        keys = row * len(neighbours) + encoding.columns[entries]
        unique, place = np.unique(keys, return_inverse=True)
        values = np.bincount(place, weights=encoding.values[entries]) / block.shape[1]
        counts = np.bincount(unique // len(neighbours), minlength=len(block))
        columns = (unique % len(neighbours)).astype(np.int32)
        blocks.append(SparseRows(_starts(counts), columns, values.astype(np.float32)))
    return _join(blocks)


def entries_of(starts: Ints, rows: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return the places of all entries of these rows, one row after the other, and how many each row has."""
    first = starts[rows]
    sizes = starts[rows + 1] - first
    offsets = np.repeat(first - (sizes.cumsum() - sizes), sizes)
    return offsets + np.arange(len(offsets)), sizes


def _starts(sizes: Ints) -> Ints:
    return np.concatenate(([0], sizes.cumsum()))


def _join(blocks: list[SparseRows]) -> SparseRows:
    sizes = np.concatenate([np.diff(block.starts) for block in blocks])
    columns = np.concatenate([block.columns for block in blocks])
    return SparseRows(_starts(sizes), columns, np.concatenate([block.values for block in blocks]))


class JaccardDistance:
    """The Jaccard distances of rows of an encoding, ``1 - sum(min) / (2 - sum(min))``, in 0..1.

    Args:
        encoding: of queries, followed by the gallery.
        num_query: the number of queries.
    """

    def __init__(self, encoding: SparseRows, num_query: int) -> None:
        self._encoding = encoding
        self._num_gallery = len(encoding.starts) - 1 - num_query
        first = encoding.starts[num_query]
        columns = encoding.columns[first:]
        rows = np.repeat(np.arange(self._num_gallery), np.diff(encoding.starts[num_query:]))
        # The gallery's entries by column: which images have a weight for it.
        order = np.argsort(columns, kind="stable")
        self._rows, self._values = rows[order].astype(np.int32), encoding.values[first:][order]
        self._starts = _starts(np.bincount(columns, minlength=len(encoding.starts) - 1))

    def of_query(self, query: int) -> NDArray[np.float64]:
        """Return the distances (G,) of a query to the gallery."""
        own = slice(*self._encoding.starts[query : query + 2])
        entries, sizes = entries_of(self._starts, self._encoding.columns[own])
        smaller = np.minimum(self._values[entries], np.repeat(self._encoding.values[own], sizes))
        shared = np.bincount(self._rows[entries], weights=smaller, minlength=self._num_gallery)
        return 1 - shared / (2 - shared)
