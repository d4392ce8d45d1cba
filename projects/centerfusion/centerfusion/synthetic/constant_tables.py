"""The tables of generated roads that are the same for all of them: names and sensors."""

import hashlib
from typing import Any

from ..data.classes import ATTRIBUTES, BICYCLE_RACK, CLASS_OF_CATEGORY
from .painter import CAMERA_HEIGHT
from .stretch import RADAR_POSITION

CAMERA_POSITION = [1.7, 0.0, CAMERA_HEIGHT]  # on the vehicle, metres
_CAMERA_ROTATION = [0.5, -0.5, 0.5, -0.5]  # from x right, y down, z forward to x forward, y left, z up


def token_of(*parts: object) -> str:
    """Return the token of what `parts` name, 32 hexadecimal digits."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def constant_tables(intrinsic: list[list[float]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables that do not depend on what is on the roads.

    Args:
        intrinsic: (3, 3) matrix of the camera.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    names = {"category": [*CLASS_OF_CATEGORY, BICYCLE_RACK], "attribute": ATTRIBUTES[1:]}
    for table, values in names.items():
        rows[table] = [{"token": token_of(table, name), "name": name, "description": ""} for name in values]
    levels = ("v0-40", "v40-60", "v60-80", "v80-100")
    rows["visibility"] = [{"token": str(i), "level": level, "description": ""} for i, level in enumerate(levels, 1)]
    sensors = {"CAM_FRONT": ("camera", CAMERA_POSITION, _CAMERA_ROTATION, intrinsic)}
    sensors["RADAR_FRONT"] = ("radar", RADAR_POSITION, [1.0, 0.0, 0.0, 0.0], [])
    sensors["LIDAR_TOP"] = ("lidar", [0.94, 0.0, 1.84], [1.0, 0.0, 0.0, 0.0], [])
    rows["sensor"], rows["calibrated_sensor"] = [], []
    for channel, (modality, translation, rotation, intrinsic) in sensors.items():
        sensor = {"token": token_of("sensor", channel), "channel": channel, "modality": modality}
        rows["sensor"].append(sensor)
        rows["calibrated_sensor"].append(
            {
                "token": token_of("calibration", channel),
                "sensor_token": sensor["token"],
                "translation": translation,
                "rotation": rotation,
                "camera_intrinsic": intrinsic,
            }
        )
    return rows
