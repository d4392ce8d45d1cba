"""Boxes, projections and angles in a camera's frame: x right, y down, z forward."""

import math

import numpy as np

Array = np.ndarray


def affine(
    center: tuple[float, float],
    side: float,
    size: tuple[int, int],
    *,
    degrees: float = 0.0,
    inverse: bool = False,
) -> Array:
    """Return the (2, 3) matrix from image pixels to a map that shows the square of `side` pixels around `center`.

    Args:
        center: (x, y) that is moved to the middle of the map.
        side: pixels of the image along the width of the map.
        size: (width, height) of the map.
        degrees: by which the image is turned back.
        inverse: from the map to the image.
    """
    width, height = size
    scale = width / side
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    forward = np.array([[cos, sin], [-sin, cos]]) * scale
    middle = np.array([width / 2, height / 2])
    if inverse:
        matrix = np.linalg.inv(forward)
        return np.column_stack((matrix, np.asarray(center) - matrix @ middle))
    return np.column_stack((forward, middle - forward @ np.asarray(center)))


def transform(points: Array, matrix: Array) -> Array:
    """Return points (..., 2) moved by a (2, 3) matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def box_corners(dims: Array, location: Array, rotation_y: Array) -> Array:
    """Return the corners (..., 8, 3) of boxes: four at the bottom and then four at the top.

    Args:
        dims: (..., 3): height, width, length.
        location: (..., 3): centre of the bottom.
        rotation_y: (...): heading; 0 is along x.
    """
    height, width, length = np.moveaxis(np.asarray(dims, dtype=np.float64), -1, 0)[..., None]
    x = length / 2 * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    y = -height * np.array([0, 0, 0, 0, 1, 1, 1, 1])
    z = width / 2 * np.array([1, -1, -1, 1, 1, -1, -1, 1])
    angle = np.asarray(rotation_y, dtype=np.float64)[..., None]
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.stack((cos * x + sin * z, np.broadcast_to(y, (cos * x).shape), cos * z - sin * x), axis=-1)
    return turned + np.asarray(location, dtype=np.float64)[..., None, :]


def project(points: Array, calib: Array) -> Array:
    """Return the pixels (..., 2) of points (..., 3) through a (3, 4) projection."""
    homogeneous = points @ calib[:, :3].T + calib[:, 3]
    pixels: Array = homogeneous[..., :2] / homogeneous[..., 2:]
    return pixels


def unproject(pixels: Array, depth: Array, calib: Array) -> Array:
    """Return the points (..., 3) at pixels (..., 2) whose third projected coordinate is `depth` (...)."""
    z = depth - calib[2, 3]
    x = (pixels[..., 0] * depth - calib[0, 3] - calib[0, 2] * z) / calib[0, 0]
    y = (pixels[..., 1] * depth - calib[1, 3] - calib[1, 2] * z) / calib[1, 1]
    return np.stack((x, y, z), axis=-1)


def wrap(angle: Array) -> Array:
    """Return an angle in (-2 pi, 2 pi) moved by one turn into (-pi, pi]."""
    angle = np.where(angle > np.pi, angle - 2 * np.pi, angle)
    return np.where(angle <= -np.pi, angle + 2 * np.pi, angle)


def heading_of(alpha: Array, x: Array, calib: Array) -> Array:
    """Return the heading (rotation_y) of observation angles at the pixel columns `x`."""
    return wrap(alpha + np.arctan2(x - calib[0, 2], calib[0, 0]))


def observation_angle_of(rotation_y: Array, x: Array, calib: Array) -> Array:
    """Return the observation angle (alpha) of headings at the pixel columns `x`."""
    return wrap(rotation_y - np.arctan2(x - calib[0, 2], calib[0, 0]))


def locate(pixels: Array, alpha: Array, dims: Array, depth: Array, calib: Array) -> tuple[Array, Array]:
    """Return the bottom centres (..., 3) and the headings (...) of boxes.

    Args:
        pixels: (..., 2), of the boxes' centres.
        alpha: (...), observation angles.
        dims: (..., 3), height, width, length.
        depth: (...), metres.
        calib: (3, 4).
    """
    location = unproject(pixels, depth, calib)
    location[..., 1] += dims[..., 0] / 2
    return location, heading_of(alpha, pixels[..., 0], calib)


def rotation_bins(alpha: float) -> tuple[Array, Array]:
    """Return in which of two overlapping bins an angle is, (2,) int64, and its residuals there, (2,) float32."""
    bins, residuals = np.zeros(2, np.int64), np.zeros(2, np.float32)
    if alpha < np.pi / 6 or alpha > 5 * np.pi / 6:
        bins[0], residuals[0] = 1, alpha + np.pi / 2
    if alpha > -np.pi / 6 or alpha < -5 * np.pi / 6:
        bins[1], residuals[1] = 1, alpha - np.pi / 2
    return bins, residuals
