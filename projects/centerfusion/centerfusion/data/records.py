"""Reads converted annotations into one record for each image."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from .classes import CLASSES
from .convert import radar_file
from .radar import NUM_FIELDS

Record = dict[str, Any]
_ITEM = 4 * NUM_FIELDS

# Arrays of a record's boxes -> their names in the annotation file.
_BOX_FIELDS = {
    "category": "category_id",
    "bbox": "bbox",
    "depth": "depth",
    "dim": "dim",
    "location": "location",
    "rotation_y": "rotation_y",
    "alpha": "alpha",
    "amodel_center": "amodel_center",
    "velocity": "velocity_cam",
    "attribute": "attributes",
}
_SHAPES: dict[str, tuple[int, ...]] = {
    "bbox": (4,),
    "dim": (3,),
    "location": (3,),
    "amodel_center": (2,),
    "velocity": (4,),
}


def read_records(path: str | Path, root: str | Path) -> list[Record]:
    """Return the images of an annotation file, each with the arrays of its boxes below "boxes".

    Files of the published converter, which hold radar points themselves, are read too.

    Args:
        path: of the annotations.
        root: the data set's folder, below which the images lie.

    Raises:
        FileNotFoundError: there is no such file, or no radar file beside it.
        ValueError: the file is no annotation file, has no image, or the radar file does not fit it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no converted annotations at {path}: run python projects/centerfusion/convert.py {root}"
        )
    try:
        content = json.loads(path.read_bytes())
        images, annotations = content["images"], content["annotations"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no annotation file of convert.py ({error}); convert the tables again") from error
    if not images:
        raise ValueError(f"{path} has no images: convert a split that has samples")
    boxes: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        boxes[annotation["image_id"]].append(annotation)
    records = [_record(image, boxes[image["id"]], path, Path(root)) for image in images]
    _check_radar(records, path)
    return records


def _record(image: dict[str, Any], boxes: list[dict[str, Any]], path: Path, root: Path) -> Record:
    record = {
        "image_id": image["id"],
        "file": str(root / image["file_name"]),
        "sample_token": image["sample_token"],
        "sensor_id": image["sensor_id"],
        "width": image.get("width", 1600),
        "height": image.get("height", 900),
        "calib": np.array(image["calib"], dtype=np.float64),
        "to_world": np.array(image["trans_matrix"], dtype=np.float64),
        "sensor_rotation": np.array(image["cs_record_rot"], dtype=np.float64),
        "ego_rotation": np.array(image["pose_record_rot"], dtype=np.float64),
        "boxes": box_arrays(boxes),
    }
    if "radar" in image:
        record["radar"] = (str(radar_file(path)), *image["radar"])
    else:
        record["radar_points"] = np.array(image["radar_pc"], dtype=np.float32).reshape(NUM_FIELDS, -1)
    return record


def box_arrays(boxes: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the boxes of an image as arrays of n rows."""
    for box in boxes:
        if not 1 <= box["category_id"] <= len(CLASSES):
            raise ValueError(f"annotation {box['id']} has the category {box['category_id']}, not 1 to {len(CLASSES)}")
    return {
        name: np.array([box[field] for box in boxes], dtype=np.float64).reshape(-1, *_SHAPES.get(name, ()))
        for name, field in _BOX_FIELDS.items()
    }


def _check_radar(records: list[Record], path: Path) -> None:
    if "radar" not in records[0]:
        return
    file = radar_file(path)
    if not file.is_file():
        raise FileNotFoundError(f"the radar points {file} of {path} are missing: convert the tables again")
    needed = max(record["radar"][1] + record["radar"][2] for record in records) * _ITEM
    if file.stat().st_size != needed:
        raise ValueError(
            f"{file} has {file.stat().st_size} bytes and {path} describes {needed}: convert the tables again"
        )


def read_radar_points(record: Record) -> np.ndarray:
    """Return the radar points of an image, (18, N) float32; see `radar_of_camera` for its rows."""
    if "radar_points" in record:
        points: np.ndarray = record["radar_points"]
        return points
    file, first, count = record["radar"]
    return np.fromfile(file, "<f4", count=count * NUM_FIELDS, offset=first * _ITEM).reshape(count, NUM_FIELDS).T
