"""Radar points as maps: each point is painted as an upright pillar (arXiv:2011.04841, section 4.2)."""

from dataclasses import dataclass

import numpy as np

from . import geometry
from .radar import VX, VY, Z
from .view import View


@dataclass(frozen=True)
class PillarOptions:
    """How points become maps.

    Attributes:
        max_distance: points beyond it are dropped, in metres.
        z_offset: added to the height of every point, in metres.
        size: height, width, length of a pillar in metres.
    """

    max_distance: float = 60.0
    z_offset: float = 0.0
    size: tuple[float, float, float] = (1.5, 0.2, 0.2)


@dataclass(frozen=True)
class VisiblePoints:
    """Radar points in a view, nearest first.

    Attributes:
        pixels: (3, N): x and y in the map, depth in metres.
        points: (18, N), mirrored where the view is.
    """

    pixels: np.ndarray
    points: np.ndarray


def points_in_view(
    points: np.ndarray, calib: np.ndarray, view: View, size: tuple[int, int], options: PillarOptions
) -> VisiblePoints:
    """Return the points (18, N) that a map of (width, height) shows."""
    points = points.astype(np.float64)
    points[1] -= options.z_offset  # y points down
    points = points[:, (points[Z] <= options.max_distance) & (points[Z] > 0)]
    pixels = geometry.project(points[:3].T, calib)
    limit = np.array([view.width - 1, view.height - 1])
    is_inside = np.all((pixels > 1) & (pixels < limit), axis=1)
    points, pixels = points[:, is_inside], pixels[is_inside]
    order = np.argsort(points[Z], kind="stable")
    points, pixels = points[:, order], pixels[order]
    if view.flip:
        pixels[:, 0] = view.mirror_x(pixels[:, 0])
        points[0] *= -1
        points[VX] *= -1
    pixels = geometry.transform(pixels, view.matrix(size))
    is_inside = np.all((pixels > 0) & (pixels < np.array(size)), axis=1)
    return VisiblePoints(np.vstack((pixels[is_inside].T, points[Z][is_inside])), points[:, is_inside])


def draw_pillars(
    visible: VisiblePoints, calib: np.ndarray, view: View, size: tuple[int, int], options: PillarOptions
) -> np.ndarray:
    """Return the radar maps (3, height, width) float32: depth, vx and vz of the nearest pillar, 0 without one."""
    width, height = size
    maps = np.zeros((3, height, width), np.float32)
    count = visible.points.shape[1]
    if not count:
        return maps
    corners = geometry.box_corners(np.tile(options.size, (count, 1)), visible.points[:3].T, np.zeros(count))
    pixels = geometry.transform(geometry.project(corners, calib), view.matrix(size))
    # As published, corners outside of the map do not count, and a pillar of fewer than two has no size.
    is_inside = np.all((pixels > 0) & (pixels < np.array(size)), axis=2)
    low = np.where(is_inside[..., None], pixels, np.inf).min(1)
    high = np.where(is_inside[..., None], pixels, -np.inf).max(1)
    has_extent = np.count_nonzero(is_inside, axis=1) >= 2
    extent = np.where(has_extent[:, None], high - low, 0)
    x, y = visible.pixels[:2]
    top, bottom = np.round(np.maximum(y - extent[:, 1], 0)).astype(int), np.round(y).astype(int)
    left = np.round(np.maximum(x - extent[:, 0] / 2, 0)).astype(int)
    right = np.round(np.minimum(x + extent[:, 0] / 2, width)).astype(int)
    values = np.stack((visible.pixels[2], visible.points[VX], visible.points[VY])).astype(np.float32)
    for i in reversed(range(count)):  # the nearest last
        maps[:, top[i] : bottom[i], left[i] : right[i]] = values[:, i, None, None]
    return maps
