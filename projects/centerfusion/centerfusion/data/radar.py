"""Reads radar files (.pcd) and joins the sweeps of several radars in a camera's frame."""

import math
from pathlib import Path

import numpy as np

from .classes import RADARS_OF_CAMERA
from .tables import Row, Tables

_FIELDS = ["x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state"]
_FIELDS += ["x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms"]
_FORMATS = ["<f4"] * 3 + ["i1", "<i2"] + ["<f4"] * 5 + ["i1"] * 8
RECORD = np.dtype(list(zip(_FIELDS, _FORMATS)))
NUM_FIELDS = len(_FIELDS)
# Rows of the array of points.
X, Y, Z, VX, VY = 0, 1, 2, 8, 9
# Points nearer to the radar than this in x and in y are reflections of the vehicle, in metres.
_TOO_CLOSE = 1.0


def read_radar(path: str | Path) -> np.ndarray:
    """Return the points of a radar file that are valid, (18, N) float64, one row for each field.

    Valid are points with invalid_state 0, dyn_prop 0 to 6 and ambig_state 3.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut short, or is a point cloud of another kind or version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the radar file {path} is missing: copy samples/ and sweeps/ completely")
    content = path.read_bytes()
    start = content.find(b"DATA binary\n")
    if start < 0:
        raise ValueError(f"{path} is no radar file of nuScenes: its header has no line 'DATA binary'")
    body = start + len(b"DATA binary\n")
    lines = content[:start].decode("ascii", "replace").splitlines()
    header = {line.split(" ", 1)[0]: line.split(" ", 1)[-1].split() for line in lines if line.strip()}
    _check_header(header, path)
    width = int(header["WIDTH"][0])
    if len(content) - body < width * RECORD.itemsize:
        raise ValueError(
            f"{path} is cut short: {width} points need {width * RECORD.itemsize} bytes after the header, and "
            f"{len(content) - body} are there; copy it again"
        )
    points = np.frombuffer(content, RECORD, count=width, offset=body)
    if width == 0 or math.isnan(points["x"][0]):
        return np.zeros((NUM_FIELDS, 0))
    is_valid = (points["invalid_state"] == 0) & (points["dyn_prop"] >= 0) & (points["dyn_prop"] <= 6)
    points = points[is_valid & (points["ambig_state"] == 3)]
    return np.stack([points[name].astype(np.float64) for name in _FIELDS])


def write_radar(path: str | Path, points: np.ndarray) -> None:
    """Write points, a structured array of `RECORD`, as nuScenes does."""
    header = {
        "VERSION": "0.7",
        "FIELDS": " ".join(_FIELDS),
        "SIZE": " ".join(str(RECORD[name].itemsize) for name in _FIELDS),
        "TYPE": " ".join("F" if RECORD[name].kind == "f" else "I" for name in _FIELDS),
        "COUNT": " ".join("1" for _ in _FIELDS),
        "WIDTH": str(len(points)),
        "HEIGHT": "1",
        "VIEWPOINT": "0 0 0 1 0 0 0",
        "POINTS": str(len(points)),
        "DATA": "binary",
    }
    text = "# .PCD v0.7 - Point Cloud Data file format\n" + "".join(f"{key} {value}\n" for key, value in header.items())
    # One byte follows the last record in nuScenes' files, and the devkit expects it.
    Path(path).write_bytes(text.encode("ascii") + points.astype(RECORD).tobytes() + b"\n")


def _check_header(header: dict[str, list[str]], path: Path) -> None:
    sizes = [str(RECORD[name].itemsize) for name in _FIELDS]
    expected = {"VERSION": ["0.7"], "FIELDS": _FIELDS, "SIZE": sizes}
    for key, value in expected.items():
        if header.get(key) != value:
            raise ValueError(
                f"{path} is a radar file of another version: expected {key} {' '.join(value)}, "
                f"got {' '.join(header.get(key, ['nothing']))}"
            )
    if not header.get("WIDTH", [""])[0].isdigit():
        raise ValueError(f"{path} has no number of points: expected a line 'WIDTH n' in its header")


def radar_of_camera(tables: Tables, sample: Row, camera: Row, channel: str, num_sweeps: int) -> np.ndarray:
    """Return the radar points that belong to a camera's image, (18, N) float64, in the camera's frame.

    Rows 0 to 2 are the position in metres, rows 8 and 9 the compensated radial velocity along the camera's x and z
    axes in m/s; the others are as in the files. Targets that move are not moved between sweeps.

    Args:
        tables: of the data set.
        sample: of the image.
        camera: the image's row of sample_data.
        channel: the camera's name.
        num_sweeps: sweeps of each radar, from the key frame back in time; fewer at the start of a scene.
    """
    world_to_camera = np.linalg.inv(tables.ego_pose(camera) @ tables.sensor_pose(camera))
    parts = [np.zeros((NUM_FIELDS, 0))]
    for radar in RADARS_OF_CAMERA[channel]:
        data = tables.key_frame(sample, radar)
        for _ in range(num_sweeps):
            if data is None:
                break
            points = read_radar(tables.root / data["filename"])
            is_close = (np.abs(points[X]) < _TOO_CLOSE) & (np.abs(points[Y]) < _TOO_CLOSE)
            points = points[:, ~is_close]
            matrix = world_to_camera @ tables.ego_pose(data) @ tables.sensor_pose(data)
            points[:3] = matrix[:3, :3] @ points[:3] + matrix[:3, 3:]
            velocity = matrix[:3, :2] @ points[VX : VY + 1]
            points[VX], points[VY] = velocity[0], velocity[2]
            parts.append(points)
            data = tables.get("sample_data", data["prev"]) if data["prev"] else None
    return np.concatenate(parts, axis=1)
