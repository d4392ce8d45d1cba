"""Reads the tables of a data set in nuScenes' layout."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .rotations import pose_matrix
from .splits import VERSIONS, is_in_split

Row = dict[str, Any]
TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
)


class Tables:
    """The tables of one version below a folder, with the look-ups that the conversion needs.

    Args:
        root: holds the folder of the version, samples/ and sweeps/.
        version: such as "v1.0-mini".

    Raises:
        FileNotFoundError: the folder or a table is missing.
        ValueError: a table is no list of rows with tokens.
    """

    def __init__(self, root: str | Path, version: str) -> None:
        self.root = Path(root)
        self.version = version
        self._rows = {name: _read_table(self.root / version / f"{name}.json") for name in TABLES}
        channels = {row["token"]: row["channel"] for row in self._rows["sensor"].values()}
        self._channels = {
            token: channels[row["sensor_token"]] for token, row in self._rows["calibrated_sensor"].items()
        }
        self._key_frames: dict[str, dict[str, Row]] = defaultdict(dict)
        for row in self._rows["sample_data"].values():
            if row["is_key_frame"]:
                self._key_frames[row["sample_token"]][self._channels[row["calibrated_sensor_token"]]] = row
        self._annotations: dict[str, list[Row]] = defaultdict(list)
        for row in self._rows["sample_annotation"].values():
            self._annotations[row["sample_token"]].append(row)

    def get(self, table: str, token: str) -> Row:
        """Return a row.

        Raises:
            KeyError: the table has no such token.
        """
        try:
            return self._rows[table][token]
        except KeyError:
            raise KeyError(
                f"{self.root / self.version / table}.json has no row {token!r}, which another table refers to"
            ) from None

    def scenes(self, split: str) -> list[Row]:
        """Return the scenes of a split, in the order of the table.

        Raises:
            ValueError: the split is unknown, belongs to another version, or has no scene here.
        """
        if VERSIONS.get(split, self.version) != self.version:
            raise ValueError(f"the split {split!r} belongs to {VERSIONS[split]}, not to {self.version}")
        found = [row for row in self._rows["scene"].values() if is_in_split(row["name"], split)]
        if not found:
            names = [row["name"] for row in self._rows["scene"].values()]
            raise ValueError(
                f"the split {split!r} has no samples in {self.root / self.version}: none of its scenes is among the "
                f"{len(names)} of the table ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            )
        return found

    def samples(self, scene: Row) -> Iterator[Row]:
        """Yield the samples of a scene in their order."""
        token = scene["first_sample_token"]
        while token:
            sample = self.get("sample", token)
            yield sample
            token = sample["next"]

    def split_samples(self, split: str) -> list[Row]:
        """Return all samples of a split; raises as `scenes` does."""
        return [sample for scene in self.scenes(split) for sample in self.samples(scene)]

    def key_frame(self, sample: Row, channel: str) -> Row | None:
        """Return the sensor's data of a sample, or None."""
        return self._key_frames[sample["token"]].get(channel)

    def annotations(self, sample: Row) -> list[Row]:
        """Return the annotated boxes of a sample, in the order of the table."""
        return self._annotations.get(sample["token"], [])

    def category_of(self, annotation: Row) -> str:
        """Return the name of an annotation's category."""
        instance = self.get("instance", annotation["instance_token"])
        name: str = self.get("category", instance["category_token"])["name"]
        return name

    def attribute_of(self, annotation: Row) -> str:
        """Return the name of an annotation's attribute, "" without one."""
        tokens = annotation["attribute_tokens"]
        return self.get("attribute", tokens[0])["name"] if tokens else ""

    def sensor_pose(self, data: Row) -> np.ndarray:
        """Return the (4, 4) matrix from a sensor to the vehicle."""
        row = self.get("calibrated_sensor", data["calibrated_sensor_token"])
        return pose_matrix(row["translation"], row["rotation"])

    def ego_pose(self, data: Row) -> np.ndarray:
        """Return the (4, 4) matrix from the vehicle, at the time of the data, to the world."""
        row = self.get("ego_pose", data["ego_pose_token"])
        return pose_matrix(row["translation"], row["rotation"])

    def velocity_of(self, annotation: Row, max_seconds: float = 1.5) -> np.ndarray:
        """Return a box's velocity (3,) in the world, m/s, from its neighbours in time; NaN where it has none.

        Args:
            annotation: a row.
            max_seconds: neighbours further apart do not count; doubled where there are two.
        """
        has_previous, has_next = annotation["prev"] != "", annotation["next"] != ""
        if not has_previous and not has_next:
            return np.full(3, np.nan)
        first = self.get("sample_annotation", annotation["prev"]) if has_previous else annotation
        last = self.get("sample_annotation", annotation["next"]) if has_next else annotation
        seconds = 1e-6 * (
            self.get("sample", last["sample_token"])["timestamp"]
            - self.get("sample", first["sample_token"])["timestamp"]
        )
        limit = max_seconds * (2 if has_previous and has_next else 1)
        if seconds > limit or seconds <= 0:
            return np.full(3, np.nan)
        velocity: np.ndarray = (np.array(last["translation"]) - np.array(first["translation"])) / seconds
        return velocity


def _read_table(path: Path) -> dict[str, Row]:
    if not path.is_file():
        raise FileNotFoundError(
            f"the table {path} is missing: a data set in nuScenes' layout has {', '.join(TABLES)} below the folder of "
            "its version (download the metadata of that version, or correct the version)"
        )
    try:
        rows = json.loads(path.read_bytes())
        return {row["token"]: row for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"the table {path} is no list of rows with tokens: {error}; copy it again") from error
