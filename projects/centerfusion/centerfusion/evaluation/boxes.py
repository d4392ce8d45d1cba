"""Detections of an image as boxes in the camera's frame, and those as entries of nuScenes' result file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..data import geometry
from ..data.classes import ATTRIBUTES, ATTRIBUTES_OF, CLASSES
from ..data.records import Record
from ..data.rotations import about, multiply
from ..data.view import View
from ..modeling.association import observation_angle

Array = np.ndarray
MAX_BOXES_OF_SAMPLE = 500


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


def result_entries(boxes: Mapping[str, Array], record: Record, options: DecodingOptions) -> list[dict[str, Any]]:
    """Return the boxes of one image as entries of nuScenes' result file; those with a side <= 0 are dropped."""
    keep = (boxes["dim"] > 0).all(axis=1)
    boxes = {name: value[keep] for name, value in boxes.items()}
    # The centre is half a height above the bottom; the published code lifts it by a whole height.
    lift = boxes["dim"][:, 0] * (1.0 if options.published_center else 0.5)
    in_camera = boxes["location"] - np.stack((np.zeros_like(lift), lift, np.zeros_like(lift)), axis=1)
    to_world = record["to_world"]
    translation = in_camera @ to_world[:3, :3].T + to_world[:3, 3]
    velocity = boxes["velocity"] @ to_world[:3, :3].T
    sensor = multiply(record["ego_rotation"], record["sensor_rotation"])
    entries = []
    for i in range(len(lift)):
        name = CLASSES[int(boxes["class"][i]) - 1]
        height, width, length = boxes["dim"][i].tolist()
        score = float(boxes["score"][i])
        entries.append(
            {
                "sample_token": record["sample_token"],
                "translation": translation[i].tolist(),
                "size": [width, length, height],
                "rotation": multiply(sensor, about(1, float(boxes["rotation_y"][i]))).tolist(),
                "velocity": velocity[i, :2].tolist(),
                "detection_name": name,
                "attribute_name": attribute_name(boxes["attribute"][i], name),
                "detection_score": score,
                "tracking_name": name,
                "tracking_score": score,
                "tracking_id": i + 1,
                "sensor_id": record["sensor_id"],
                "det_id": -1,
            }
        )
    return entries


def attribute_name(logits: Array, class_name: str) -> str:
    """Return the likeliest attribute that a class may have, "" where it has none."""
    first, end = ATTRIBUTES_OF[class_name]
    return ATTRIBUTES[1 + first + int(np.argmax(logits[first:end]))] if end > first else ""


def best_boxes(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the best entries of a sample, of all cameras together, best first."""
    return sorted(entries, key=lambda entry: -entry["detection_score"])[:MAX_BOXES_OF_SAMPLE]


def result_file(results: Mapping[str, list[dict[str, Any]]], *, use_radar: bool) -> dict[str, Any]:
    """Return the content of nuScenes' result file; a sample without detections has an empty list.

    Args:
        results: {sample token: entries}, for each sample of the split.
        use_radar: whether radar was used.
    """
    meta = {"use_camera": True, "use_lidar": False, "use_radar": use_radar, "use_map": False, "use_external": False}
    return {"meta": meta, "results": {token: best_boxes(entries) for token, entries in results.items()}}
