"""From nuScenes' tables to one annotation file for each split."""

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from . import geometry
from .classes import ATTRIBUTES, CAMERAS, CLASS_OF_CATEGORY, CLASSES, IGNORED_CATEGORIES
from .radar import radar_of_camera
from .rotations import rotation_matrix
from .tables import Row, Tables

# A box is kept if all its corners are deeper than the first, and one of those in the image than the second, in metres.
_IN_FRONT, _VISIBLE = 0.1, 1.0


def annotation_file(root: str | Path, split: str, num_sweeps: int) -> Path:
    """Return where the annotations of a split lie; the radar points are beside them, in <split>_radar.bin."""
    return Path(root) / f"annotations_{num_sweeps}sweeps" / f"{split}.json"


def radar_file(annotations: str | Path) -> Path:
    """Return the file of the radar points of an annotation file."""
    annotations = Path(annotations)
    return annotations.with_name(f"{annotations.stem}_radar.bin")


def convert(
    tables: Tables, split: str, num_sweeps: int = 3, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Path:
    """Write the annotations of a split, scene by scene, and return their file.

    The memory that it takes beside the tables does not grow with the split. The file appears when it is complete.

    Args:
        tables: of the split's version.
        split: such as "mini_train".
        num_sweeps: radar sweeps of each image, >= 1.
        progress: wraps the scenes, such as tqdm.

    Raises:
        ValueError: `num_sweeps` is below 1, the split has no samples, a category is unknown, a calibration has no
            focal length, or a radar file is damaged or of another version.
        FileNotFoundError: a radar file is missing.
    """
    if num_sweeps < 1:
        raise ValueError(f"expected at least 1 radar sweep, got {num_sweeps}")
    scenes = tables.scenes(split)
    path = annotation_file(tables.root, split, num_sweeps)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{split}-") as folder:
        temporary = Path(folder)
        with (
            (temporary / "radar").open("wb") as radar,
            (temporary / "images").open("w") as images,
            (temporary / "annotations").open("w") as annotations,
        ):
            _write_scenes(progress(scenes), _Converter(tables, num_sweeps, radar), images, annotations)
        with (temporary / "json").open("w") as out:
            _join(out, temporary, scenes)
        (temporary / "radar").replace(radar_file(path))
        (temporary / "json").replace(path)
    return path


def _write_scenes(scenes: Iterable[Row], converter: "_Converter", images: IO[str], annotations: IO[str]) -> None:
    separators = {images: "", annotations: ""}
    for video_id, scene in enumerate(scenes, 1):
        found = list(converter.images_of(scene, video_id))
        for _, boxes in found:
            for box in boxes:
                annotations.write(separators[annotations] + json.dumps(box))
                separators[annotations] = ",\n"
        for image, _ in sorted(found, key=lambda pair: pair[0]["sensor_id"]):  # stable: by time within a camera
            images.write(separators[images] + json.dumps(image))
            separators[images] = ",\n"


def _join(out: IO[str], folder: Path, scenes: list[Row]) -> None:
    out.write('{"images": [\n')
    for name, end in (("images", '\n], "annotations": [\n'), ("annotations", "\n], ")):
        with (folder / name).open() as part:
            shutil.copyfileobj(part, out)
        out.write(end)
    rest = {
        "categories": [{"name": name, "id": i} for i, name in enumerate(CLASSES, 1)],
        "videos": [{"id": i, "file_name": scene["name"]} for i, scene in enumerate(scenes, 1)],
        "attributes": {name: i for i, name in enumerate(ATTRIBUTES)},
        "pointclouds": [],
    }
    out.write(json.dumps(rest)[1:] + "\n")


class _Converter:
    """Numbers images, boxes and tracks over the scenes of a split, and appends radar points to one file."""

    def __init__(self, tables: Tables, num_sweeps: int, radar: IO[bytes]) -> None:
        self.tables, self.num_sweeps, self.radar = tables, num_sweeps, radar
        self.num_images = self.num_boxes = self.num_points = 0

    def images_of(self, scene: Row, video_id: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Yield (image, its boxes) of every camera of every sample."""
        tracks: dict[str, int] = {}
        frames: dict[str, int] = defaultdict(int)
        for sample in self.tables.samples(scene):
            for sensor_id, channel in enumerate(CAMERAS, 1):
                camera = self.tables.key_frame(sample, channel)
                if camera is None:
                    continue  # a data set need not have all six cameras
                self.num_images += 1
                frames[channel] += 1
                image = self._image(sample, camera, channel)
                image.update(id=self.num_images, video_id=video_id, frame_id=frames[channel], sensor_id=sensor_id)
                boxes = [self._box(row, image, tracks) for row in self.tables.annotations(sample)]
                yield image, without_hidden([box for box in boxes if box is not None])

    def _image(self, sample: Row, camera: Row, channel: str) -> dict[str, Any]:
        pose = self.tables.get("ego_pose", camera["ego_pose_token"])
        sensor = self.tables.get("calibrated_sensor", camera["calibrated_sensor_token"])
        intrinsic = _intrinsic_of(sensor, channel)
        to_world = self.tables.ego_pose(camera) @ self.tables.sensor_pose(camera)
        rotation = to_world.copy()
        rotation[:3, 3] = 0
        points = radar_of_camera(self.tables, sample, camera, channel, self.num_sweeps).astype("<f4")
        self.radar.write(points.T.tobytes())
        first, self.num_points = self.num_points, self.num_points + points.shape[1]
        return {
            "file_name": camera["filename"],
            "calib": np.column_stack((intrinsic, np.zeros(3))).tolist(),
            "sample_token": sample["token"],
            "trans_matrix": to_world.tolist(),
            "velocity_trans_matrix": rotation.tolist(),
            "width": camera["width"],
            "height": camera["height"],
            "pose_record_trans": pose["translation"],
            "pose_record_rot": pose["rotation"],
            "cs_record_trans": sensor["translation"],
            "cs_record_rot": sensor["rotation"],
            "camera_intrinsic": intrinsic.tolist(),
            "radar": [first, points.shape[1]],
        }

    def _box(self, row: Row, image: dict[str, Any], tracks: dict[str, int]) -> dict[str, Any] | None:
        """Return a box of the tables in the camera's frame, None if it is not in the image or of no class."""
        category = self.tables.category_of(row)
        if category not in CLASS_OF_CATEGORY:
            if category in IGNORED_CATEGORIES:
                return None
            raise ValueError(
                f"the annotation {row['token']} has the unknown category {category!r}: expected one of "
                f"{', '.join(sorted([*CLASS_OF_CATEGORY, *IGNORED_CATEGORIES]))}"
            )
        box = box_in_image(row, image)
        if box is None:
            return None
        self.num_boxes += 1
        velocity = self.tables.velocity_of(row)
        turn = np.array(image["velocity_trans_matrix"])[:3, :3]
        attribute = self.tables.attribute_of(row)
        if attribute not in ATTRIBUTES:
            raise ValueError(
                f"the annotation {row['token']} has the unknown attribute {attribute!r}: expected one of "
                f"{', '.join(ATTRIBUTES[1:])}"
            )
        return {
            "id": self.num_boxes,
            "image_id": image["id"],
            "category_id": CLASSES.index(CLASS_OF_CATEGORY[category]) + 1,
            **box,
            "occluded": 0,
            "truncated": 0,
            "iscrowd": 0,
            "track_id": tracks.setdefault(row["instance_token"], len(tracks) + 1),
            "attributes": ATTRIBUTES.index(attribute),
            "velocity": velocity.tolist(),
            "velocity_cam": [*(turn.T @ velocity).tolist(), 0.0 * velocity[0]],  # NaN where unknown
        }


def _intrinsic_of(sensor: Row, channel: str) -> np.ndarray:
    intrinsic = np.array(sensor["camera_intrinsic"], dtype=np.float64)
    if intrinsic.shape != (3, 3) or not (intrinsic[0, 0] > 0 and intrinsic[1, 1] > 0):
        raise ValueError(
            f"the calibration {sensor['token']} of {channel} has no usable focal length: expected a 3x3 matrix with "
            f"positive [0][0] and [1][1], got {intrinsic.tolist()}"
        )
    return intrinsic


def box_in_image(row: Row, image: dict[str, Any]) -> dict[str, Any] | None:
    """Return the geometry of an annotated box in a camera's frame, or None if it cannot be seen in the image.

    Args:
        row: of sample_annotation.
        image: a converted image.
    """
    to_camera = np.linalg.inv(np.array(image["trans_matrix"]))
    center = to_camera[:3, :3] @ np.array(row["translation"]) + to_camera[:3, 3]
    if center[2] < -max(row["size"]):
        return None  # far behind the camera
    heading = to_camera[:3, :3] @ rotation_matrix(row["rotation"])
    width, length, height = row["size"]
    signs = np.array([(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)], dtype=np.float64)
    corners = (signs * np.array([length, width, height]) / 2) @ heading.T + center
    if not (corners[:, 2] > _IN_FRONT).all():
        return None
    calib = np.array(image["calib"])
    pixels = geometry.project(corners, calib)
    size = np.array([image["width"], image["height"]])
    if not ((pixels > 0).all(1) & (pixels < size).all(1) & (corners[:, 2] > _VISIBLE)).any():
        return None
    low, high = pixels.min(0).clip(0, size), pixels.max(0).clip(0, size)
    rotation_y = -np.arctan2(heading[2, 0], heading[0, 0])
    alpha = geometry.observation_angle_of(rotation_y, (low[0] + high[0]) / 2, calib)
    return {
        "dim": [height, width, length],
        "location": [center[0], center[1] + height / 2, center[2]],
        "depth": center[2],
        "rotation_y": float(rotation_y),
        "amodel_center": geometry.project(center, calib).tolist(),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float((high - low).prod()),
        "alpha": float(alpha),
    }


def without_hidden(boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the boxes that no other box, wholly in front of them, covers completely."""
    if not boxes:
        return []
    depth = np.array([box["depth"] for box in boxes])
    dims = np.array([box["dim"] for box in boxes])
    low = np.array([box["bbox"][:2] for box in boxes])
    high = low + np.array([box["bbox"][2:] for box in boxes])
    back, front = depth + dims.max(1) / 2, depth - dims.min(1) / 2
    in_front = back[:, None] < front[None]  # [i, j]: i is in front of j
    covers = (low[:, None] < low[None]).all(2) & (high[:, None] > high[None]).all(2)
    hidden = (in_front & covers).any(0)
    return [box for box, is_hidden in zip(boxes, hidden) if not is_hidden]
