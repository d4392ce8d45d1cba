"""Distances between two sets of features, exact enough that equal features tie."""

import torch
from torch import Tensor

METRICS = ("cosine", "euclidean")

# Columns of one float64 product: what bounds the memory beside the result.
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
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(METRICS)}")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected features (M, D) and (N, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    require_finite(a, "first")
    require_finite(b, "second")
    # Squared distances do not change when both sets move, and the sums lose fewer digits near the origin.
    centre = b.mean(dim=0, dtype=torch.float64) if metric == "euclidean" else None
    left = _prepare(a, centre)
    result = torch.empty(len(a), len(b), dtype=torch.float32, device=a.device)
    for start in range(0, len(b), _BLOCK):
        right = _prepare(b[start : start + _BLOCK], centre)
        block = _squared_euclidean(left, right) if metric == "euclidean" else _one_minus(left, right)
        result[:, start : start + _BLOCK] = block.clamp_(min=0)
    return result


def require_finite(features: Tensor, which: str) -> None:
    """Raise ValueError naming the first row of `features` that holds a NaN or an infinity."""
    finite = torch.isfinite(features)
    if not finite.all():
        row = int((~finite.all(dim=1)).nonzero()[0])
        raise ValueError(
            f"row {row} of the {which} features (of {len(features)} rows) is not finite: the model diverged, or its "
            "precision is too low for it"
        )


def _prepare(features: Tensor, centre: Tensor | None) -> Tensor:
    features = features.double()
    return torch.nn.functional.normalize(features) if centre is None else features - centre


def _squared_euclidean(a: Tensor, b: Tensor) -> Tensor:
    norms = (1 - _RESOLUTION) * (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1))
    return norms.addmm_(a, b.T, alpha=-2)


def _one_minus(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T).neg_().add_(1 - _RESOLUTION)
