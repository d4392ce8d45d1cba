"""Doubles both sides of an image: the same pixels as Pillow, several times as fast."""

import math

import numpy as np


def double(image: np.ndarray) -> np.ndarray:
    """Return a uint8 image (C, H, W) as (C, 2H, 2W), with exactly the pixels of Pillow's bilinear filter.

    Pillow scales rows, rounds to 8 bits, and then scales columns; the order is a part of the result.
    """
    return _double_side(_double_side(image, 2), 1)


def _double_side(image: np.ndarray, axis: int) -> np.ndarray:
    """Double one side: a new pixel lies a quarter of a pixel beside an old one x, towards its neighbour y.

    So it is (3x + y) / 4 = x + (y - x) / 4, rounded half up. All pixels are computed in one row, where the neighbour is
    `distance` places away and small numbers do (that is what makes it fast); what a border mixed is put right after.
    """
    lead, side, distance = math.prod(image.shape[:axis]), image.shape[axis], math.prod(image.shape[axis + 1 :])
    pixels = image.reshape(-1)
    wide = pixels.astype(np.int16)
    step = wide[distance:] - wide[:-distance]
    before, after = pixels.copy(), pixels.copy()
    before[distance:] += ((2 - step) >> 2).astype(np.uint8)  # modulo 256, so negative steps are right too
    after[:-distance] += ((2 + step) >> 2).astype(np.uint8)
    doubled = np.empty((lead, side, 2, distance), dtype=np.uint8)
    doubled[:, :, 0] = before.reshape(lead, side, distance)
    doubled[:, :, 1] = after.reshape(lead, side, distance)
    # Beyond its border an image repeats it.
    doubled[:, 0, 0] = image.reshape(lead, side, distance)[:, 0]
    doubled[:, -1, 1] = image.reshape(lead, side, distance)[:, -1]
    return doubled.reshape(*image.shape[:axis], 2 * side, *image.shape[axis + 1 :])
