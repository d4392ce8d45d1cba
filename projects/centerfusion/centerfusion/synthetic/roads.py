"""Writes a data set of generated roads in the layout of nuScenes."""

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.classes import CLASS_OF_CATEGORY
from ..data.radar import write_radar
from ..data.rotations import about
from .constant_tables import CAMERA_POSITION, constant_tables, token_of
from .painter import paint
from .stretch import Stretch, radar_points
from .world import Thing, draw_things

NAME = "synthetic-roads"
VERSION = "v1.0-mini"
_TRAIN = (61, 553, 655, 757, 796, 1077, 1094, 1100)
_VAL = (103, 916)
_KEY_FRAME_SECONDS, _SWEEP_SECONDS = 0.5, 0.077
_FOCAL_SHARE = 0.79  # of the width, as nuScenes' 1266 of 1600 pixels
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
        self.rows |= constant_tables(self.intrinsic)

    def write_scene(self, index: int, name: str, num_samples: int) -> None:
        """Write the samples of a scene."""
        rng = np.random.default_rng((self.options.seed, index))
        log = {"token": token_of(name, "log"), "logfile": name, "vehicle": "n000", "date_captured": "2018-07-24"}
        self.rows["log"].append({**log, "location": "singapore-onenorth"})
        tokens = [token_of(name, "sample", i) for i in range(num_samples)]
        self.rows["scene"].append(
            {
                "token": token_of(name),
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
            scene = Stretch(things, start, yaw, ego_speed, phase * _KEY_FRAME_SECONDS, time)
            self.rows["sample"].append(
                {
                    "token": token,
                    "timestamp": time,
                    "prev": tokens[i - 1] if i else "",
                    "next": tokens[i + 1] if i + 1 < num_samples else "",
                    "scene_token": token_of(name),
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
        tokens = [token_of(name, "instance", i, k) for k in range(len(things))]
        category_of = {value: key for key, value in reversed(CLASS_OF_CATEGORY.items())}
        for token, thing in zip(tokens, things):
            self.rows["instance"].append(
                {"token": token, "category_token": token_of("category", category_of[thing.name]), "nbr_annotations": 0}
            )
        return tokens

    def _add_annotations(
        self,
        scene: Stretch,
        sample: str,
        instances: list[str],
        phase: int,
        has_next: bool,
        shares: list[float],
    ) -> None:
        rows = {row["token"]: row for row in self.rows["instance"][-len(instances) :]} if instances else {}
        for thing, instance, share in zip(scene.things, instances, shares):
            token = token_of(instance, phase)
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
                    "attribute_tokens": [token_of("attribute", thing.attribute)] if thing.attribute else [],
                    "translation": [x, y, height / 2],
                    "size": [width, length, height],
                    "rotation": about(2, scene.yaw + thing.yaw).tolist(),
                    "prev": token_of(instance, phase - 1) if phase else "",
                    "next": token_of(instance, phase + 1) if has_next else "",
                    "num_lidar_pts": round(20 * share),
                    "num_radar_pts": 0,
                }
            )

    def _write_camera(
        self, scene: Stretch, sample: str, name: str, chain: list[dict[str, Any]], rng: np.random.Generator
    ) -> list[float]:
        calib = np.column_stack((np.array(self.intrinsic), np.zeros(3)))
        camera = np.array(CAMERA_POSITION[:2])
        positions = [tuple(scene.from_vehicle(thing, 0.0) - camera) for thing in scene.things]
        picture, shares = paint(scene.things, positions, calib, self.options.size, rng)
        file = f"samples/CAM_FRONT/{name}__CAM_FRONT__{scene.time}.jpg"
        picture.save(self.folder / file, quality=92)
        self._add_data(scene, 0.0, sample, "CAM_FRONT", file, chain)
        return shares

    def _write_radar(
        self, scene: Stretch, sample: str, name: str, chain: list[dict[str, Any]], rng: np.random.Generator
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
        scene: Stretch,
        ago: float,
        sample: str,
        channel: str,
        file: str,
        chain: list[dict[str, Any]],
        *,
        is_key_frame: bool = True,
    ) -> None:
        token = token_of(file)
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
                "calibrated_sensor_token": token_of("calibration", channel),
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
        Image.new("L", (1, 1)).save(self.folder / "maps" / "none.png")
        logs = [row["token"] for row in self.rows["log"]]
        self.rows["map"] = [
            {"token": token_of("map"), "log_tokens": logs, "category": "semantic_prior", "filename": "maps/none.png"}
        ]
        for name, rows in self.rows.items():
            (self.folder / VERSION / f"{name}.json").write_text(json.dumps(rows))
