"""Radar points are given to boxes through frustums (arXiv:2011.04841, section 4.2)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import depth_of, gather_cells

# The share of a box's sides in which its radar values are painted.
_PAINTED = 0.3


@dataclass(frozen=True)
class Frustums:
    """How radar is associated; the defaults are the published ones.

    Attributes:
        max_distance: painted depths are divided by it, in metres.
        window: radar within `window` times half the extent in depth of a box belongs to it; 1.5 as published.
        wrap_negative: a box over the left or upper edge is looked up from the other edge, as Python slices do; False
            cuts it at the edge.
        num_boxes: predicted boxes of an image that take radar.
        only_peaks: of the predicted boxes, only those whose cell is the maximum of its 3x3 neighbourhood.
        min_score: of the predicted boxes, only those with at least this score.
        best_last: paint the best box last, so that it wins; as published, the worst box wins.
    """

    max_distance: float = 60.0
    window: float = 1.5
    wrap_negative: bool = True
    num_boxes: int = 100
    only_peaks: bool = False
    min_score: float = 0.0
    best_last: bool = False


def associate(
    radar: Tensor, boxes: Tensor, depths: Tensor, thresholds: Tensor, valid: Tensor, rule: Frustums
) -> Tensor:
    """Paint into each box the nearest radar cell inside its frustum; later boxes overwrite earlier ones.

    Args:
        radar: (B, 3, H, W): depth in metres (0: none), vx, vz.
        boxes: (B, K, 4) as x0, y0, x1, y1 in cells, in the order of painting.
        depths: (B, K) in metres.
        thresholds: (B, K): cells within this distance of the box's depth belong to it.
        valid: (B, K) bool; other boxes paint nothing.
        rule: the constants.

    Returns:
        (B, 3, H, W): depth / max_distance, vx, vz.
    """
    height, width = radar.shape[2:]
    x0, y0, x1, y1 = boxes.unbind(2)
    rows = _range(y0.floor(), y1.ceil() + 1, height, rule.wrap_negative)
    columns = _range(x0.floor(), x1.ceil() + 1, width, rule.wrap_negative)
    depth = radar[:, None, 0]
    lower = (depths - thresholds).clamp(min=0)[..., None, None]
    inside = (depth > lower) & (depth < (depths + thresholds)[..., None, None]) & (depth != 0)
    inside &= rows[..., None] & columns[..., None, :]
    nearest, cell = torch.where(inside, depth, math.inf).flatten(2).min(dim=2)
    found = valid & torch.isfinite(nearest)
    values = gather_cells(radar, cell)
    values = torch.cat((values[..., :1] / rule.max_distance, values[..., 1:]), dim=2)

    cx, cy, half_w, half_h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) * _PAINTED / 2, (y1 - y0) * _PAINTED / 2
    rows = _range((cy - half_h).trunc(), (cy + half_h).trunc() + 1, height, rule.wrap_negative)
    # One column more than rows, as published.
    columns = _range((cx - half_w).trunc(), (cx + half_w).trunc() + 2, width, rule.wrap_negative)
    painted = rows[..., None] & columns[..., None, :] & found[..., None, None]
    order = torch.arange(1, boxes.shape[1] + 1, device=radar.device, dtype=torch.int16)
    last = (painted * order[:, None, None]).amax(dim=1).flatten(1).long()  # 0: no box
    nothing = values.new_zeros(values.shape[0], 1, 3)
    table = torch.cat((nothing, values), dim=1)
    out = table.gather(1, last[..., None].expand(-1, -1, 3))
    return out.transpose(1, 2).reshape(radar.shape)


def _range(start: Tensor, end: Tensor, size: int, wrap_negative: bool) -> Tensor:
    """Return (..., size) bool: the places of Python's slice start:end."""
    if wrap_negative:
        start, end = (torch.where(bound < 0, bound + size, bound) for bound in (start, end))
    place = torch.arange(size, device=start.device)
    return (place >= start[..., None]) & (place < end[..., None])


def depth_threshold(
    centre_x: Tensor, dims: Tensor, alpha: Tensor, calib: Tensor, window: float = Frustums.window
) -> Tensor:
    """Return how far from a box's depth its radar may lie, in metres.

    As published, the viewing ray is that of `centre_x` in cells, while the calibration is that of the whole image.

    Args:
        centre_x: (..., K) of the boxes in the output map.
        dims: (..., K, 3): height, width, length in metres.
        alpha: (..., K): observation angle.
        calib: (..., 3, 4): projection of the whole image.
        window: factor on half the extent in depth.
    """
    heading = alpha + torch.atan2(centre_x - calib[..., 0, 2, None], calib[..., 0, 0, None])
    half = ((heading.sin() * dims[..., 2]).abs() + (heading.cos() * dims[..., 1]).abs()) / 2
    return window * half


def observation_angle(rotation: Tensor) -> Tensor:
    """Return alpha (...) of the rotation head's numbers (..., 8)."""
    first = torch.atan2(rotation[..., 2], rotation[..., 3]) - math.pi / 2
    second = torch.atan2(rotation[..., 6], rotation[..., 7]) + math.pi / 2
    return torch.where(rotation[..., 1] > rotation[..., 5], first, second)


def peaks_only(heat: Tensor) -> Tensor:
    """Return `heat` (B, C, H, W) with 0 where a cell is not the maximum of its 3x3 neighbourhood."""
    return heat * (F.max_pool2d(heat, 3, stride=1, padding=1) == heat)


def best_cells(heat: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return score, class and cell, each (B, K), of the `count` largest values of (B, C, H, W), largest first."""
    area = heat.shape[2] * heat.shape[3]
    scores, index = heat.flatten(1).topk(min(count, heat[0].numel()))
    return scores, index // area, index % area


@torch.no_grad()
def associate_predicted(outputs: dict[str, Tensor], radar: Tensor, calib: Tensor, rule: Frustums) -> Tensor:
    """Associate radar with the boxes of the primary heads' raw outputs; see `associate`.

    Args:
        outputs: hm, wh, dep, dim and rot, (B, C, H, W).
        radar: (B, 3, H, W).
        calib: (B, 3, 4).
        rule: the constants.
    """
    width = radar.shape[3]
    heat = outputs["hm"].float()
    if rule.only_peaks:
        heat = torch.where(F.max_pool2d(heat, 3, stride=1, padding=1) == heat, heat, -math.inf)
    scores, classes, cells = best_cells(heat, rule.num_boxes)
    valid = torch.isfinite(scores) & (scores.sigmoid() >= rule.min_score)
    if rule.best_last:
        classes, cells, valid = classes.flip(1), cells.flip(1), valid.flip(1)
    x, y = cells % width + 0.5, cells // width + 0.5
    half = gather_cells(outputs["wh"], cells).float().clamp(min=0) / 2
    boxes = torch.stack((x - half[..., 0], y - half[..., 1], x + half[..., 0], y + half[..., 1]), dim=2)
    depths = depth_of(gather_cells(outputs["dep"], cells))
    depths = depths[..., 0] if depths.shape[2] == 1 else depths.gather(2, classes[..., None])[..., 0]
    dims = gather_cells(outputs["dim"], cells).float()
    alpha = observation_angle(gather_cells(outputs["rot"], cells).float())
    thresholds = depth_threshold((boxes[..., 0] + boxes[..., 2]) / 2, dims, alpha, calib, rule.window)
    return associate(radar.float(), boxes, depths, thresholds, valid, rule)
