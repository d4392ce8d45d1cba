"""What a network is to give for an image: heat maps, and the regressions of each object."""

from dataclasses import dataclass

import numpy as np
import torch

from ..modeling.association import Frustums, associate, depth_threshold
from . import geometry
from .classes import ATTRIBUTES, CLASSES
from .heat_maps import draw_gaussian, gaussian_radius
from .view import View

# Attribute id -> the outputs of its group, of which one is right.
_GROUPS = {**dict.fromkeys((1, 2), (0, 2)), **dict.fromkeys((3, 4, 5), (2, 5)), **dict.fromkeys((6, 7, 8), (5, 8))}
_COMPONENTS = {"reg": 2, "wh": 2, "dep": 1, "dim": 3, "amodel_offset": 2, "velocity": 3, "nuscenes_att": 8}


@dataclass(frozen=True)
class TargetOptions:
    """How targets are made.

    Attributes:
        max_objects: of an image; further ones are not learned.
        flip_velocity: mirror velocities with the image; the published code does not.
    """

    max_objects: int = 128
    flip_velocity: bool = False


@dataclass(frozen=True)
class ViewedBoxes:
    """The boxes of an image in the output map of a view.

    Attributes:
        boxes: (n, 4): x0, y0, x1, y1 in cells, cut to the map.
        center: (n, 2) of those.
        amodel_center: (n, 2): the projected centre of the 3D box, in cells.
        alpha: (n,), mirrored where the view is.
        visible: (n,) bool: something of the box is in the map.
    """

    boxes: np.ndarray
    center: np.ndarray
    amodel_center: np.ndarray
    alpha: np.ndarray
    visible: np.ndarray


def boxes_in_view(boxes: dict[str, np.ndarray], view: View, size: tuple[int, int]) -> ViewedBoxes:
    """Return where the boxes of a record are in a map of (width, height)."""
    low, high = boxes["bbox"][:, :2].copy(), boxes["bbox"][:, :2] + boxes["bbox"][:, 2:]
    amodel, alpha = boxes["amodel_center"].copy(), boxes["alpha"]
    if view.flip:
        low[:, 0], high[:, 0] = view.mirror_x(high[:, 0]), view.mirror_x(low[:, 0])
        amodel[:, 0] = view.mirror_x(amodel[:, 0])
        alpha = np.where(alpha > 0, np.pi - alpha, -np.pi - alpha)
    matrix = view.matrix(size)
    limit = np.array(size) - 1
    # In float32 as published: a centre near the edge of a cell must fall into the same cell.
    low, high = (
        geometry.transform(corner.astype(np.float32), matrix).astype(np.float32).clip(0, limit.astype(np.float32))
        for corner in (low, high)
    )
    return ViewedBoxes(
        boxes=np.concatenate((low, high), axis=1),
        center=(low + high) / 2,
        amodel_center=geometry.transform(amodel, matrix),
        alpha=alpha,
        visible=np.all(high > low, axis=1),
    )


def make_targets(
    boxes: dict[str, np.ndarray], viewed: ViewedBoxes, view: View, size: tuple[int, int], options: TargetOptions
) -> dict[str, np.ndarray]:
    """Return the arrays that `DetectionLoss` reads, without the dimension of the batch.

    Args:
        boxes: of a record.
        viewed: the same boxes in the map.
        view: of the sample.
        size: (width, height) of the output map.
        options: of the project's config.
    """
    width, height = size
    count = options.max_objects
    out: dict[str, np.ndarray] = {"hm": np.zeros((len(CLASSES), height, width), np.float32)}
    for name, components in _COMPONENTS.items():
        out[name] = np.zeros((count, components), np.float32)
        out[f"{name}_mask"] = np.zeros((count, components), np.float32)
    out["ind"], out["cat"] = np.zeros(count, np.int64), np.zeros(count, np.int64)
    out["mask"], out["rot_mask"] = np.zeros(count, np.float32), np.zeros(count, np.float32)
    out["rotbin"], out["rotres"] = np.zeros((count, 2), np.int64), np.zeros((count, 2), np.float32)
    for k in range(min(count, len(viewed.visible))):
        if viewed.visible[k]:
            _add_object(out, k, boxes, viewed, view, width, options)
    return out


def _add_object(
    out: dict[str, np.ndarray],
    k: int,
    boxes: dict[str, np.ndarray],
    viewed: ViewedBoxes,
    view: View,
    width: int,
    options: TargetOptions,
) -> None:
    category, center = int(boxes["category"][k]) - 1, viewed.center[k].astype(np.float32)
    x, y = cell = center.astype(np.int64)
    w, h = viewed.boxes[k, 2:] - viewed.boxes[k, :2]
    radius = max(0, int(gaussian_radius(int(np.ceil(h)), int(np.ceil(w)))))
    draw_gaussian(out["hm"][category], (int(x), int(y)), radius)
    out["ind"][k], out["cat"][k], out["mask"][k] = y * width + x, category, 1
    for name, value in (
        ("reg", center - cell),
        ("wh", (w, h)),
        ("dep", boxes["depth"][k] * view.zoom),
        ("dim", boxes["dim"][k]),
        ("amodel_offset", viewed.amodel_center[k] - cell),
    ):
        out[name][k], out[f"{name}_mask"][k] = value, 1
    velocity = boxes["velocity"][k, :3].copy()
    if view.flip and options.flip_velocity:
        velocity[0] *= -1
    if np.isfinite(velocity).all():
        out["velocity"][k], out["velocity_mask"][k] = velocity, 1
    attribute = int(boxes["attribute"][k])
    if attribute in _GROUPS:
        assert attribute < len(ATTRIBUTES)
        first, end = _GROUPS[attribute]
        out["nuscenes_att"][k, attribute - 1] = 1
        out["nuscenes_att_mask"][k, first:end] = 1
    out["rotbin"][k], out["rotres"][k] = geometry.rotation_bins(float(viewed.alpha[k]))
    out["rot_mask"][k] = 1


def associate_true_boxes(
    radar: np.ndarray,
    boxes: dict[str, np.ndarray],
    viewed: ViewedBoxes,
    calib: np.ndarray,
    rule: Frustums,
    max_objects: int,
) -> np.ndarray:
    """Return the radar maps (3, H, W) float32 that a training step sees: radar painted into the true boxes."""
    count = min(len(viewed.visible), max_objects)
    if not count:
        return np.zeros_like(radar)
    alpha, dims = torch.from_numpy(viewed.alpha[:count]), torch.from_numpy(boxes["dim"][:count])
    center_x = torch.from_numpy(viewed.center[:count, 0])
    threshold = depth_threshold(center_x, dims, alpha, torch.from_numpy(calib), rule.window)
    painted = associate(
        torch.from_numpy(radar)[None],
        torch.from_numpy(viewed.boxes[None, :count]),
        torch.from_numpy(boxes["depth"][None, :count]),
        threshold[None],
        torch.from_numpy(viewed.visible[None, :count]),
        rule,
    )
    return painted[0].numpy()
