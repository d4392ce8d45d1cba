"""Unit quaternions (w, x, y, z) as nuScenes stores them."""

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def rotation_matrix(quaternion: Sequence[float] | Array) -> Array:
    """Return the (3, 3) rotation of a quaternion of any length but 0.

    Raises:
        ValueError: the quaternion is 0.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    norm = np.linalg.norm(q)
    if not norm > 0:
        raise ValueError(f"a rotation is a quaternion (w, x, y, z) other than 0, got {q.tolist()}")
    w, x, y, z = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose_matrix(translation: Sequence[float], rotation: Sequence[float]) -> Array:
    """Return the (4, 4) matrix from a frame to its parent."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix(rotation)
    matrix[:3, 3] = translation
    return matrix


def multiply(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Array:
    """Return the quaternion of the rotation `second` followed by `first`, (4,)."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate(([w], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])))


def about(axis: int, angle: float) -> Array:
    """Return the quaternion of a rotation about the x (0), y (1) or z (2) axis."""
    quaternion = np.zeros(4)
    quaternion[0], quaternion[1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
    return quaternion


def yaw_of(quaternions: Array) -> Array:
    """Return the headings (...) in the xy plane of quaternions (..., 4): where the x axis points."""
    q = np.asarray(quaternions, dtype=np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    return np.arctan2(2 * (x * y + z * w), 1 - 2 * (y * y + z * z))
