"""Writes a data set of generated roads in the layout of nuScenes."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.classes import ATTRIBUTES, BICYCLE_RACK, CLASS_OF_CATEGORY
from ..data.radar import RECORD, write_radar
from ..data.rotations import about
from .painter import CAMERA_HEIGHT, paint
from .world import VEHICLES, Thing, draw_things

NAME = "synthetic-roads"
VERSION = "v1.0-mini"
_TRAIN = (61, 553, 655, 757, 796, 1077, 1094, 1100)
_VAL = (103, 916)
_KEY_FRAME_SECONDS, _SWEEP_SECONDS = 0.5, 0.077
_FOCAL_SHARE = 0.79  # of the width, as nuScenes' 1266 of 1600 pixels
_CAMERA = [1.7, 0.0, CAMERA_HEIGHT]
_CAMERA_ROTATION = [0.5, -0.5, 0.5, -0.5]  # from x right, y down, z forward to x forward, y left, z up
_RADAR = [3.4, 0.0, 0.5]
# How likely a class is seen by the radar.
_SEEN = dict.fromkeys(VEHICLES, 0.93) | {"pedestrian": 0.7, "motorcycle": 0.8, "bicycle": 0.75, "barrier": 0.7}
_SEEN_ELSE = 0.5
_POSITION_NOISE, _SPEED_NOISE = 0.15, 0.1
_FIRST_TIME = 1_532_402_900_000_000


@dataclass(frozen=True)
class RoadOptions:
    """How much is generated.

    Attributes:
        samples: of each scene; 8 scenes are for training and 2 for validation.
        val_samples: of each scene for validation.
        size: (width, height) of a picture in pixels.
        sweeps: of radar in front of each sample, counting its own.
        seed: of everything.
    """

    samples: int = 100
    val_samples: int = 75
    size: tuple[int, int] = (448, 252)
    sweeps: int = 3
    seed: int = 0


def ensure_roads(root: Path, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> Path:
    """Write the generated roads to `root` if it does not exist, and return it."""
    if not root.exists():
        write_roads(root, RoadOptions(), progress)
    return root


def write_roads(root: Path, options: RoadOptions, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> None:
    """Write a data set with one camera, one radar and all tables; the folder appears when it is complete.

    Objects change at every second sample, so that each has one neighbour in time, which its velocity needs.

    Raises:
        FileExistsError: `root` exists.
    """
    if root.exists():
        raise FileExistsError(f"{root} exists already: remove it to generate it again")
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-"))
    try:
        writer = _Writer(folder, options)
        for i, number in progress(list(enumerate((*_TRAIN, *_VAL)))):
            writer.write_scene(i, f"scene-{number:04d}", options.val_samples if number in _VAL else options.samples)
        writer.write_tables()
        folder.chmod(0o755)
        folder.replace(root)
    except BaseException:
        shutil.rmtree(folder)
        raise


def _token(*parts: object) -> str:
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass
class _Moment:
    """What a camera or radar sees at one time: where the vehicle is, and the road's origin and direction."""

    origin: np.ndarray
    yaw: float
    travelled: float
    time: int
    pose_token: str = field(default="")


class _Writer:
    """Writes pictures and radar files scene by scene, and gathers the tables' rows."""

    def __init__(self, folder: Path, options: RoadOptions) -> None:
        self.folder, self.options = folder, options
        width, height = options.size
        focal = _FOCAL_SHARE * width
        self.intrinsic = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
        self.rows: dict[str, list[dict[str, Any]]] = {
            name: []
            for name in ("ego_pose", "instance", "log", "map", "sample", "sample_annotation", "sample_data", "scene")
        }
        for name in ("samples/CAM_FRONT", "samples/RADAR_FRONT", "sweeps/RADAR_FRONT", "maps", VERSION):
            (folder / name).mkdir(parents=True)
        self._add_constant_tables()

    def _add_constant_tables(self) -> None:
        names = {"category": [*CLASS_OF_CATEGORY, BICYCLE_RACK], "attribute": ATTRIBUTES[1:]}
        for table, values in names.items():
            self.rows[table] = [{"token": _token(table, name), "name": name, "description": ""} for name in values]
        levels = ("v0-40", "v40-60", "v60-80", "v80-100")
        self.rows["visibility"] = [
            {"token": str(i), "level": level, "description": ""} for i, level in enumerate(levels, 1)
        ]
        sensors = {"CAM_FRONT": ("camera", _CAMERA, _CAMERA_ROTATION, self.intrinsic)}
        sensors["RADAR_FRONT"] = ("radar", _RADAR, [1.0, 0.0, 0.0, 0.0], [])
        sensors["LIDAR_TOP"] = ("lidar", [0.94, 0.0, 1.84], [1.0, 0.0, 0.0, 0.0], [])
        self.rows["sensor"], self.rows["calibrated_sensor"] = [], []
        for channel, (modality, translation, rotation, intrinsic) in sensors.items():
            sensor = {"token": _token("sensor", channel), "channel": channel, "modality": modality}
            self.rows["sensor"].append(sensor)
            self.rows["calibrated_sensor"].append(
                {
                    "token": _token("calibration", channel),
                    "sensor_token": sensor["token"],
                    "translation": translation,
                    "rotation": rotation,
                    "camera_intrinsic": intrinsic,
                }
            )

    def write_scene(self, index: int, name: str, num_samples: int) -> None:
        """Write the samples of a scene."""
        rng = np.random.default_rng((self.options.seed, index))
        log = {"token": _token(name, "log"), "logfile": name, "vehicle": "n000", "date_captured": "2018-07-24"}
        self.rows["log"].append({**log, "location": "singapore-onenorth"})
        tokens = [_token(name, "sample", i) for i in range(num_samples)]
        self.rows["scene"].append(
            {
                "token": _token(name),
                "log_token": log["token"],
                "nbr_samples": num_samples,
                "first_sample_token": tokens[0],
                "last_sample_token": tokens[-1],
                "name": name,
                "description": "generated",
            }
        )
        origin, yaw = rng.uniform(200, 1800, 2), float(rng.uniform(-math.pi, math.pi))
        chains: dict[str, list[dict[str, Any]]] = {"CAM_FRONT": [], "RADAR_FRONT": [], "LIDAR_TOP": []}
        things: list[Thing] = []
        ego_speed, instances = 0.0, []
        for i, token in enumerate(tokens):
            phase = i % 2
            if phase == 0:
                things, ego_speed = draw_things(rng), float(rng.uniform(0, 5))
                instances = self._add_instances(things, name, i)
            # A new stretch of the road begins with new objects.
            start = origin + 60.0 * (i // 2) * np.array([math.cos(yaw), math.sin(yaw)])
            time = _FIRST_TIME + index * 1_000_000_000 + round(i * _KEY_FRAME_SECONDS * 1e6)
            scene = _Stretch(things, start, yaw, ego_speed, phase * _KEY_FRAME_SECONDS, time)
            self.rows["sample"].append(
                {
                    "token": token,
                    "timestamp": time,
                    "prev": tokens[i - 1] if i else "",
                    "next": tokens[i + 1] if i + 1 < num_samples else "",
                    "scene_token": _token(name),
                }
            )
            shares = self._write_camera(scene, token, name, chains["CAM_FRONT"], rng)
            self._write_radar(scene, token, name, chains["RADAR_FRONT"], rng)
            self._add_data(scene, 0.0, token, "LIDAR_TOP", f"samples/LIDAR_TOP/{name}_{time}.bin", chains["LIDAR_TOP"])
            has_next = phase == 0 and i + 1 < num_samples
            self._add_annotations(scene, token, instances, phase, has_next, shares)
        for chain in chains.values():
            for previous, following in zip(chain, chain[1:]):
                previous["next"], following["prev"] = following["token"], previous["token"]
            self.rows["sample_data"] += chain

    def _add_instances(self, things: list[Thing], name: str, i: int) -> list[str]:
        tokens = [_token(name, "instance", i, k) for k in range(len(things))]
        category_of = {value: key for key, value in reversed(CLASS_OF_CATEGORY.items())}
        for token, thing in zip(tokens, things):
            self.rows["instance"].append(
                {"token": token, "category_token": _token("category", category_of[thing.name]), "nbr_annotations": 0}
            )
        return tokens

    def _add_annotations(
        self,
        scene: "_Stretch",
        sample: str,
        instances: list[str],
        phase: int,
        has_next: bool,
        shares: list[float],
    ) -> None:
        rows = {row["token"]: row for row in self.rows["instance"][-len(instances) :]} if instances else {}
        for thing, instance, share in zip(scene.things, instances, shares):
            token = _token(instance, phase)
            x, y = scene.to_world(*thing.at(scene.seconds))
            width, length, height = thing.size
            row = rows[instance]
            row["nbr_annotations"] += 1
            row.setdefault("first_annotation_token", token)
            row["last_annotation_token"] = token
            self.rows["sample_annotation"].append(
                {
                    "token": token,
                    "sample_token": sample,
                    "instance_token": instance,
                    "visibility_token": str(1 + sum(share > limit for limit in (0.4, 0.6, 0.8))),
                    "attribute_tokens": [_token("attribute", thing.attribute)] if thing.attribute else [],
                    "translation": [x, y, height / 2],
                    "size": [width, length, height],
                    "rotation": about(2, scene.yaw + thing.yaw).tolist(),
                    "prev": _token(instance, phase - 1) if phase else "",
                    "next": _token(instance, phase + 1) if has_next else "",
                    "num_lidar_pts": round(20 * share),
                    "num_radar_pts": 0,
                }
            )

    def _write_camera(
        self, scene: "_Stretch", sample: str, name: str, chain: list[dict[str, Any]], rng: np.random.Generator
    ) -> list[float]:
        calib = np.column_stack((np.array(self.intrinsic), np.zeros(3)))
        camera = np.array(_CAMERA[:2])
        positions = [tuple(scene.from_vehicle(thing, 0.0) - camera) for thing in scene.things]
        picture, shares = paint(scene.things, positions, calib, self.options.size, rng)
        file = f"samples/CAM_FRONT/{name}__CAM_FRONT__{scene.time}.jpg"
        picture.save(self.folder / file, quality=92)
        self._add_data(scene, 0.0, sample, "CAM_FRONT", file, chain)
        return shares

    def _write_radar(
        self, scene: "_Stretch", sample: str, name: str, chain: list[dict[str, Any]], rng: np.random.Generator
    ) -> None:
        for k in reversed(range(self.options.sweeps)):
            ago = k * _SWEEP_SECONDS
            points = radar_points(scene, ago, rng)
            kind = "sweeps" if k else "samples"
            time = scene.time - round(ago * 1e6)
            file = f"{kind}/RADAR_FRONT/{name}__RADAR_FRONT__{time}.pcd"
            write_radar(self.folder / file, points)
            self._add_data(scene, ago, sample, "RADAR_FRONT", file, chain, is_key_frame=k == 0)

    def _add_data(
        self,
        scene: "_Stretch",
        ago: float,
        sample: str,
        channel: str,
        file: str,
        chain: list[dict[str, Any]],
        *,
        is_key_frame: bool = True,
    ) -> None:
        token = _token(file)
        time = scene.time - round(ago * 1e6)
        width, height = self.options.size if channel.startswith("CAM") else (0, 0)
        x, y = scene.to_world(scene.travelled(ago), 0.0)
        self.rows["ego_pose"].append(
            {"token": token, "timestamp": time, "translation": [x, y, 0.0], "rotation": about(2, scene.yaw).tolist()}
        )
        chain.append(
            {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": token,
                "calibrated_sensor_token": _token("calibration", channel),
                "timestamp": time,
                "fileformat": file.rsplit(".", 1)[1],
                "is_key_frame": is_key_frame,
                "height": height,
                "width": width,
                "filename": file,
                "prev": "",
                "next": "",
            }
        )

    def write_tables(self) -> None:
        """Write all tables."""
        from PIL import Image

        Image.new("L", (1, 1)).save(self.folder / "maps" / "none.png")
        logs = [row["token"] for row in self.rows["log"]]
        self.rows["map"] = [
            {"token": _token("map"), "log_tokens": logs, "category": "semantic_prior", "filename": "maps/none.png"}
        ]
        for name, rows in self.rows.items():
            (self.folder / VERSION / f"{name}.json").write_text(json.dumps(rows))


@dataclass(frozen=True)
class _Stretch:
    """A piece of road at one sample.

    Attributes:
        things: on it.
        start: (2,) of the vehicle in the world at the first moment.
        yaw: direction of the road in the world.
        ego_speed: of the vehicle, m/s.
        seconds: since the first moment.
        time: of the sample, microseconds.
    """

    things: list[Thing]
    start: np.ndarray
    yaw: float
    ego_speed: float
    seconds: float
    time: int

    def travelled(self, ago: float) -> float:
        """Return how far the vehicle has come `ago` seconds before the sample."""
        return self.ego_speed * (self.seconds - ago)

    def to_world(self, x: float, y: float) -> tuple[float, float]:
        """Return a point of the vehicle's frame at the first moment in the world."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return float(self.start[0] + cos * x - sin * y), float(self.start[1] + sin * x + cos * y)

    def from_vehicle(self, thing: Thing, ago: float) -> np.ndarray:
        """Return (2,) the centre of a thing in the vehicle's frame `ago` seconds before the sample."""
        x, y = thing.at(self.seconds - ago)
        return np.array([x - self.travelled(ago), y])


def radar_points(scene: _Stretch, ago: float, rng: np.random.Generator) -> np.ndarray:
    """Return what the radar measures `ago` seconds before a sample, as records of nuScenes' files.

    Of a target it sees 1 to 3 points on the near side and only the speed along the line of sight.
    """
    rows: list[tuple[float, float, float, bool]] = []
    radar = np.array(_RADAR[:2])
    for thing in scene.things:
        if rng.random() > _SEEN.get(thing.name, _SEEN_ELSE):
            continue
        center = scene.from_vehicle(thing, ago) - radar
        distance = np.linalg.norm(center)
        velocity = thing.speed * np.array([math.cos(thing.yaw), math.sin(thing.yaw)])
        for _ in range(int(rng.integers(1, 4))):
            near = center * (1 - 0.4 * thing.size[0] / distance) + rng.normal(0, _POSITION_NOISE, 2)
            sight = near / np.linalg.norm(near)
            rows.append(
                (float(near[0]), float(near[1]), float(velocity @ sight + rng.normal(0, _SPEED_NOISE)), thing.speed > 0)
            )
    for _ in range(int(rng.integers(5, 16))):  # static clutter
        away, bearing = rng.uniform(4, 50), rng.uniform(-0.7, 0.7)
        rows.append((away * math.cos(bearing), away * math.sin(bearing), float(rng.normal(0, _SPEED_NOISE)), False))
    points = np.zeros(len(rows), RECORD)
    for i, (x, y, speed, moves) in enumerate(rows):
        sight = np.array([x, y]) / math.hypot(x, y)
        points[i]["x"], points[i]["y"], points[i]["id"] = x, y, i
        points[i]["vx_comp"], points[i]["vy_comp"] = speed * sight
        points[i]["vx"], points[i]["vy"] = (speed - scene.ego_speed * sight[0]) * sight
        points[i]["dyn_prop"] = 0 if moves else 1
    points["ambig_state"], points["is_quality_valid"], points["pdh0"], points["rcs"] = 3, 1, 1, 5
    return points
