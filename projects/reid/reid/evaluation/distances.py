"""Distances between two sets of features, exact enough that equal features tie."""

from collections.abc import Iterator

import torch
from torch import Tensor

METRICS = ("cosine", "euclidean")

# Columns of one float64 product: they bound the memory beside the result.
_BLOCK = 2048
# What float64 sums may differ by when their order does, as a share of the squared norms. Features that are nearer count
# as equal, so that a collapsed embedding gives ties and not noise.
_RESOLUTION = 1e-12


def pairwise_distance(a: Tensor, b: Tensor, metric: str = "cosine") -> Tensor:
    """Return the distance of each row of `a` to each row of `b`.

    The products are summed in float64 and rounded once. So equal rows of `b` get equal distances, and cutting `a` into
    pieces changes nothing.

    Args:
        a: (M, D) features of any floating type.
        b: (N, D) features, on the same device.
        metric: "cosine" is 1 - cos, in 0..2 (1 where a feature is all zeros); "euclidean" is the *squared* L2 distance.

    Returns:
        (M, N) float32, not negative.

    Raises:
        ValueError: an unknown metric, features that are not two matrices of one width, or a value that is not finite.
    """
    _check(a, b, metric)
    result = torch.empty(len(a), len(b), dtype=torch.float32, device=a.device)
    _Products(b, metric, len(a)).fill(result, a)
    return result


def distance_blocks(a: Tensor, b: Tensor, metric: str = "cosine", *, memory_mib: int = 512) -> Iterator[Tensor]:
    """Yield `pairwise_distance` in pieces: some rows of `a` after others, each with all columns.

    Args:
        a: (M, D) features of any floating type and device.
        b: (N, D) features on the device where the distances are wanted.
        metric: as for `pairwise_distance`.
        memory_mib: what all of it may take beside the features; the more, the less often `b` becomes float64.

    Yields:
        (R, N) float32 on the device of `b`: one buffer, which the next piece overwrites.

    Raises:
        ValueError: as `pairwise_distance`; memory_mib does not hold one row.
    """
    _check(a, b, metric)
    rows = min(rows_within(memory_mib, len(b), b.shape[1]), max(1, len(a)))
    buffer = torch.empty(rows, len(b), dtype=torch.float32, device=b.device)
    products = _Products(b, metric, rows)
    for part in a.split(rows):
        block = buffer[: len(part)]
        products.fill(block, part.to(b.device))
        yield block


def rows_within(memory_mib: int, columns: int, width: int) -> int:
    """Return how many rows of distances `distance_blocks` computes at once.

    Args:
        memory_mib: the limit.
        columns: how many features each row is compared with.
        width: their dimensions.

    Raises:
        ValueError: not even one.
    """
    wide = min(columns, _BLOCK)
    # Float64: a piece of one set; for each row of the other itself, its part of a product. Float32: its distances.
    fixed, each = 8 * width * wide, 8 * width + 8 * wide + 4 * columns
    rows = (memory_mib * 2**20 - fixed) // each
    if rows < 1:
        raise ValueError(
            f"{memory_mib} MiB do not hold the distances of one query to {columns:,} images of {width:,} dimensions: "
            f"set TEST.MEMORY_MIB (memory_mib) to {-(-(fixed + each) // 2**20)} at least"
        )
    return rows


def require_finite(features: Tensor, which: str) -> None:
    """Raise ValueError naming the first row of `features` that holds a NaN or an infinity."""
    # The extremes cost a fraction of a mask of all values, which would take a quarter of their memory.
    if not features.numel() or torch.isfinite(torch.stack(torch.aminmax(features))).all():
        return
    row = int((~torch.isfinite(features).all(dim=1)).nonzero()[0])
    raise ValueError(
        f"row {row} of the {which} features (of {len(features)} rows) is not finite: the model diverged, or its "
        "precision is too low for it"
    )


def _check(a: Tensor, b: Tensor, metric: str) -> None:
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(METRICS)}")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected features (M, D) and (N, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    require_finite(a, "first")
    require_finite(b, "second")


def _centre(b: Tensor, metric: str) -> Tensor | None:
    """Return what to subtract from both sets: distances stay, and sums lose fewer digits near the origin."""
    if metric == "cosine":
        return None
    # In pieces: a mean in another precision would copy the whole set.
    total = torch.zeros(b.shape[1], dtype=torch.float64, device=b.device)
    for part in b.split(_BLOCK):
        total += part.sum(dim=0, dtype=torch.float64)
    return total / len(b)


class _Products:
    """Computes up to `rows` rows of distances at a time.

    Its float64 buffers are kept: were they freed and allocated for each product, the process would grow to twice their
    size, for a new one is needed before the old one is free, and memory falls to pieces.
    """

    def __init__(self, b: Tensor, metric: str, rows: int) -> None:
        self._b = b
        self._centre = _centre(b, metric)
        wide = min(len(b), _BLOCK)
        self._left, self._right = (b.new_empty(n, b.shape[1], dtype=torch.float64) for n in (rows, wide))
        self._product = b.new_empty(rows * wide, dtype=torch.float64)

    @torch.no_grad()
    def fill(self, result: Tensor, a: Tensor) -> None:
        """Write the distances of `a` into `result`."""
        left = self._prepare(a, self._left)
        for start in range(0, len(self._b), _BLOCK):
            right = self._prepare(self._b[start : start + _BLOCK], self._right)
            product = self._product[: len(left) * len(right)].view(len(left), len(right))
            if self._centre is None:
                torch.mm(left, right.T, out=product).neg_().add_(1 - _RESOLUTION)
            else:
                rows, columns = (torch.linalg.vector_norm(x, dim=1).square_() for x in (left, right))
                torch.add(rows[:, None], columns, out=product).mul_(1 - _RESOLUTION).addmm_(left, right.T, alpha=-2)
            result[:, start : start + _BLOCK] = product.clamp_(min=0)

    def _prepare(self, features: Tensor, buffer: Tensor) -> Tensor:
        prepared = buffer[: len(features)].copy_(features)
        if self._centre is not None:
            return prepared.sub_(self._centre)
        return prepared.div_(torch.linalg.vector_norm(prepared, dim=1, keepdim=True).clamp_(min=1e-12))
