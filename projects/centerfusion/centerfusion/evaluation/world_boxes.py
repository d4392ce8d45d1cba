"""Boxes of many samples in the world, as arrays: nuScenes val has up to 3 million of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..data.classes import ATTRIBUTES, CLASSES

MAX_BOXES_OF_SAMPLE = 500
_CLASS_ID = {name: i for i, name in enumerate(CLASSES)}
_ATTRIBUTE_ID = {name: i for i, name in enumerate(ATTRIBUTES)}


@dataclass(frozen=True)
class WorldBoxes:
    """n boxes, one row each.

    Attributes:
        sample: (n,) int64, index of the sample.
        translation: (n, 3) of the centre, metres.
        size: (n, 3): width, length, height.
        rotation: (n, 4), quaternion w, x, y, z.
        velocity: (n, 2), m/s; NaN where unknown.
        label: (n,) int64, index in CLASSES.
        attribute: (n,) int64, index in ATTRIBUTES; 0 is none.
        score: (n,); 0 for true boxes.
        sensor: (n,) int64, id of the camera; 0 where there is none.
    """

    sample: np.ndarray
    translation: np.ndarray
    size: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    label: np.ndarray
    attribute: np.ndarray
    score: np.ndarray
    sensor: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, index: Any) -> "WorldBoxes":
        return WorldBoxes(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence["WorldBoxes"]) -> "WorldBoxes":
        """Return the boxes of all parts in their order."""
        parts = [cls.from_rows([]), *parts]
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "WorldBoxes":
        """Return boxes of dicts with the names above."""

        def column(name: str, *shape: int, dtype: type = np.float64) -> np.ndarray:
            return np.array([row[name] for row in rows], dtype=dtype).reshape(len(rows), *shape)

        return cls(
            sample=column("sample", dtype=np.int64),
            translation=column("translation", 3),
            size=column("size", 3),
            rotation=column("rotation", 4),
            velocity=column("velocity", 2),
            label=column("label", dtype=np.int64),
            attribute=column("attribute", dtype=np.int64),
            score=column("score"),
            sensor=column("sensor", dtype=np.int64),
        )

    def best_of_each_sample(self, count: int = MAX_BOXES_OF_SAMPLE) -> "WorldBoxes":
        """Return the `count` best boxes of each sample, sorted by sample, best first."""
        order = np.lexsort((-self.score, self.sample))
        samples = self.sample[order]
        starts = np.searchsorted(samples, samples)
        return self[order[np.arange(len(order)) - starts < count]]


def boxes_from_entries(results: Mapping[str, Sequence[Mapping[str, Any]]], tokens: Sequence[str]) -> WorldBoxes:
    """Return the boxes of entries as nuScenes' result file and the devkit have them.

    Args:
        results: {sample token: entries}.
        tokens: of the samples, in the order of their indices.

    Raises:
        ValueError: a sample is missing or unknown, has more than 500 boxes, or an entry has an unknown class or
            attribute.
    """
    missing, unknown = set(tokens) - set(results), set(results) - set(tokens)
    if missing or unknown:
        raise ValueError(
            f"the result's samples are not those of the split: {len(missing)} of {len(tokens)} are missing and "
            f"{len(unknown)} do not belong to it (a sample without detections needs an empty list; is it the result "
            "of another split, or of the mini version?)"
        )
    rows = []
    index = {token: i for i, token in enumerate(tokens)}
    for token, entries in results.items():
        if len(entries) > MAX_BOXES_OF_SAMPLE:
            raise ValueError(f"sample {token} has {len(entries)} boxes; at most {MAX_BOXES_OF_SAMPLE} are allowed")
        rows += [_row(entry, index[token]) for entry in entries]
    return WorldBoxes.from_rows(rows)


def _row(entry: Mapping[str, Any], sample: int) -> dict[str, Any]:
    name, attribute = entry["detection_name"], entry["attribute_name"]
    if name not in _CLASS_ID:
        raise ValueError(f"unknown detection_name {name!r}: expected one of {', '.join(CLASSES)}")
    if attribute not in _ATTRIBUTE_ID:
        raise ValueError(f"unknown attribute_name {attribute!r}: expected '' or one of {', '.join(ATTRIBUTES[1:])}")
    return {
        **entry,
        "sample": sample,
        "label": _CLASS_ID[name],
        "attribute": _ATTRIBUTE_ID[attribute],
        "score": entry.get("detection_score", 0.0),
        "sensor": entry.get("sensor_id", 0),
    }


def read_results(path: str | Path, tokens: Sequence[str]) -> WorldBoxes:
    """Return the boxes of a result file; raises as `boxes_from_entries` does.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no result file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no result file {path}: evaluate a model with --eval-only first")
    try:
        results = json.loads(path.read_bytes())["results"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no result file of nuScenes: {error}") from error
    return boxes_from_entries(results, tokens)


def result_entries(boxes: WorldBoxes, tokens: Sequence[str]) -> list[dict[str, Any]]:
    """Return boxes as entries of nuScenes' result file.

    Args:
        boxes: of one sample or more.
        tokens: of the samples, in the order of their indices.
    """
    columns = {field.name: getattr(boxes, field.name).tolist() for field in fields(boxes)}
    return [
        {
            "sample_token": tokens[columns["sample"][i]],
            "translation": columns["translation"][i],
            "size": columns["size"][i],
            "rotation": columns["rotation"][i],
            "velocity": columns["velocity"][i],
            "detection_name": CLASSES[columns["label"][i]],
            "attribute_name": ATTRIBUTES[columns["attribute"][i]],
            "detection_score": columns["score"][i],
            "tracking_name": CLASSES[columns["label"][i]],
            "tracking_score": columns["score"][i],
            "tracking_id": i + 1,
            "sensor_id": columns["sensor"][i],
            "det_id": -1,
        }
        for i in range(len(boxes))
    ]


def write_results(path: str | Path, boxes: WorldBoxes, tokens: Sequence[str], *, use_radar: bool) -> None:
    """Write nuScenes' result file, sample by sample: the best 500 boxes of each, an empty list without any."""
    boxes = boxes.best_of_each_sample()
    bounds = np.searchsorted(boxes.sample, np.arange(len(tokens) + 1))
    meta = {"use_camera": True, "use_lidar": False, "use_radar": use_radar, "use_map": False, "use_external": False}
    temporary = Path(path).with_suffix(".tmp")
    with temporary.open("w") as out:
        out.write(f'{{"meta": {json.dumps(meta)}, "results": {{')
        for i, token in enumerate(tokens):
            entries = result_entries(boxes[bounds[i] : bounds[i + 1]], tokens)
            out.write(f"{', ' if i else ''}\n{json.dumps(token)}: {json.dumps(entries)}")
        out.write("\n}}\n")
    temporary.replace(path)
