"""Detections of an image as boxes in the camera's frame, and in the world."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..data import geometry
from ..data.classes import ATTRIBUTES_OF, CLASSES
from ..data.records import Record
from ..data.rotations import about, multiply
from ..data.view import View
from ..modeling.association import observation_angle
from .world_boxes import WorldBoxes

Array = np.ndarray


@dataclass(frozen=True)
class DecodingOptions:
    """How detections become boxes; the defaults are the published ones.

    Attributes:
        min_score: detections at or below it are dropped; -1 keeps all.
        published_center: add the offset within the cell twice to the 3D centre, and lift boxes in the result file by
            half their height.
        velocity_along_heading: keep only the length of a predicted velocity and give it the direction of the box,
            where the second stage predicts it.
    """

    min_score: float = -1.0
    published_center: bool = True
    velocity_along_heading: bool = True


def camera_boxes(
    detections: Mapping[str, Array],
    calib: Array,
    view: View,
    size: tuple[int, int],
    options: DecodingOptions,
    *,
    has_radar: bool,
) -> dict[str, Array]:
    """Return the detections of one image as arrays of n rows, best first.

    Args:
        detections: arrays (K, ...) of `decode`.
        calib: (3, 4) projection of the image.
        view: that the image was seen in.
        size: (width, height) of the output map.
        options: of the project's config.
        has_radar: the second stage predicted the velocity.

    Returns:
        "score", "class" (from 1), "center" (n, 2) of the 3D box in the image, "bbox" (n, 4), "depth", "dim" (n, 3),
        "alpha", "location" (n, 3) at the bottom, "rotation_y", "attribute" (n, 8) logits, "velocity" (n, 3).
    """
    raw = {name: np.asarray(value, dtype=np.float64) for name, value in detections.items()}
    keep = raw["scores"] > options.min_score
    raw = {name: value[keep] for name, value in raw.items()}
    back = view.matrix(size, inverse=True)
    offset = raw["amodel_offset"] if options.published_center else raw["amodel_offset"] - raw["reg"]
    center = geometry.transform(np.stack((raw["x"], raw["y"]), axis=1) + offset, back)
    boxes = np.concatenate([geometry.transform(raw["boxes"][:, i : i + 2], back) for i in (0, 2)], axis=1)
    alpha = observation_angle(torch.from_numpy(raw["rot"])).numpy()
    depth = raw["dep"][:, 0]
    location, rotation_y = geometry.locate(center, alpha, raw["dim"], depth, calib)
    velocity = raw["velocity"]
    if has_radar and options.velocity_along_heading:
        speed = np.hypot(velocity[:, 0], velocity[:, 2])
        velocity = np.stack((np.cos(rotation_y) * speed, velocity[:, 1], -np.sin(rotation_y) * speed), axis=1)
    return {
        "score": raw["scores"],
        "class": raw["classes"] + 1,
        "center": center,
        "bbox": boxes,
        "depth": depth,
        "dim": raw["dim"],
        "alpha": alpha,
        "location": location,
        "rotation_y": rotation_y,
        "attribute": raw["nuscenes_att"],
        "velocity": velocity,
    }


def world_boxes(boxes: Mapping[str, Array], record: Record, sample: int, options: DecodingOptions) -> WorldBoxes:
    """Return the boxes of one image in the world; those with a side <= 0 are dropped.

    Args:
        boxes: of `camera_boxes`.
        record: of the image.
        sample: index of its sample.
        options: of the project's config.
    """
    keep = (boxes["dim"] > 0).all(axis=1)
    boxes = {name: value[keep] for name, value in boxes.items()}
    count = len(boxes["score"])
    # The centre is half a height above the bottom; the published code lifts it by a whole height.
    lift = boxes["dim"][:, 0] * (1.0 if options.published_center else 0.5)
    in_camera = boxes["location"] - lift[:, None] * np.array([0, 1, 0])
    to_world = record["to_world"]
    sensor = multiply(record["ego_rotation"], record["sensor_rotation"])
    rotation = [multiply(sensor, about(1, angle)) for angle in boxes["rotation_y"]]
    label = boxes["class"].astype(np.int64) - 1
    return WorldBoxes(
        sample=np.full(count, sample, np.int64),
        translation=in_camera @ to_world[:3, :3].T + to_world[:3, 3],
        size=boxes["dim"][:, [1, 2, 0]],
        rotation=np.array(rotation).reshape(count, 4),
        velocity=(boxes["velocity"] @ to_world[:3, :3].T)[:, :2],
        label=label,
        attribute=np.array([attribute_of(boxes["attribute"][i], label[i]) for i in range(count)], dtype=np.int64),
        score=boxes["score"],
        sensor=np.full(count, record["sensor_id"], np.int64),
    )


def attribute_of(logits: Array, label: int) -> int:
    """Return the id of the likeliest attribute that a class (index) may have, 0 where it has none."""
    first, end = ATTRIBUTES_OF[CLASSES[label]]
    return 1 + first + int(np.argmax(logits[first:end])) if end > first else 0
