"""How many distances of a row are not above each of a few thresholds, without sorting the row."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# At most so many distances of a row are sorted to count the rest at once: sorting few costs as much as comparing all.
_FEW = 512
# After so many comparisons of a whole row, sorting what is left costs less than comparing on.
_MANY = 64


def count_up_to(rows: NDArray[np.number] | Tensor, thresholds: NDArray[np.number], sizes: NDArray[np.int64]) -> NDArray:
    """Count in each row the entries <= each of its own thresholds.

    Args:
        rows: (B, N), without NaN: an array, or a tensor of any device, which is counted there.
        thresholds: (T,) first those of the first row, ascending, then those of the second, ...
        sizes: (B,) how many belong to each row; their sum is T.

    Returns:
        (T,) int64.
    """
    if isinstance(rows, Tensor):
        return _count_all_at_once(rows, thresholds, sizes)
    counts = np.empty(len(thresholds), dtype=np.int64)
    near = np.empty(rows.shape[1], dtype=np.bool_)
    for row, end, size in zip(rows, sizes.cumsum().tolist(), sizes.tolist()):
        _count_in_row(row, thresholds[end - size : end], counts[end - size : end], near)
    return counts


def _count_in_row(row: NDArray, thresholds: NDArray, counts: NDArray[np.int64], near: NDArray[np.bool_]) -> None:
    """Fill `counts`. From the farthest threshold inwards, until so few entries are left that sorting them is cheap."""
    for place in range(len(thresholds) - 1, -1, -1):
        np.less_equal(row, thresholds[place], out=near)
        counts[place] = count = np.count_nonzero(near)
        if count <= _FEW or len(thresholds) - place == _MANY:
            counts[:place] = np.sort(row.compress(near)).searchsorted(thresholds[:place], side="right")
            return


def _count_all_at_once(rows: Tensor, thresholds: NDArray, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compare the n-th threshold of every row at once: on a GPU comparing is free, and what costs is each call."""
    row = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(thresholds)) - np.repeat(sizes.cumsum() - sizes, sizes)
    padded = np.zeros((sizes.max(initial=1), len(sizes), 1), dtype=thresholds.dtype)
    padded[place, row, 0] = thresholds
    counts = torch.stack([(rows <= limits).sum(dim=1) for limits in torch.from_numpy(padded).to(rows.device)])
    return counts.numpy(force=True)[place, row]
