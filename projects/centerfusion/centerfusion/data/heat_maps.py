"""Gaussian peaks in heat maps (CornerNet, arXiv:1808.01244)."""

import math

import numpy as np


def gaussian_radius(height: int, width: int, overlap: float = 0.7) -> float:
    """Return how far the corners of a box may move while it still overlaps itself.

    CornerNet's formulas as they were published, which divide by 2 where the solution of a quadratic divides by 2 a.
    """
    total, area = height + width, height * width
    first = (total + math.sqrt(total**2 - 4 * area * (1 - overlap) / (1 + overlap))) / 2
    second = (2 * total + math.sqrt((2 * total) ** 2 - 16 * (1 - overlap) * area)) / 2
    a, b, c = 4 * overlap, -2 * overlap * total, (overlap - 1) * area
    third = (b + math.sqrt(b**2 - 4 * a * c)) / 2
    return min(first, second, third)


def draw_gaussian(heat: np.ndarray, center: tuple[int, int], radius: int) -> None:
    """Raise `heat` (H, W), in place, to a Gaussian of sigma (2 radius + 1) / 6 around (x, y), cut to its square."""
    x, y = center
    height, width = heat.shape
    left, right = max(0, x - radius), min(width, x + radius + 1)
    top, bottom = max(0, y - radius), min(height, y + radius + 1)
    if left >= right or top >= bottom:
        return
    sigma = (2 * radius + 1) / 6
    squares = (np.arange(top, bottom)[:, None] - y) ** 2 + (np.arange(left, right)[None] - x) ** 2
    peak = np.exp(-squares / (2 * sigma**2))
    peak[peak < np.finfo(np.float64).eps] = 0
    region = heat[top:bottom, left:right]
    np.maximum(region, peak, out=region, casting="same_kind")
