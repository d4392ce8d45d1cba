"""2,000 damaged annotation files: each is read, or refused by an error that is meant for a person."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image

from detection_data import coco_content, write_data
from steploop.projects.detection.data import AnnotationError, PipelineMapper, build_dataset

VALUES = [None, True, -1, 0, 10**400, 1e308, -0.5, float("nan"), float("inf"), "", "x", "\0", "../x", [], [[]], {}, "٣"]
PIPELINE = [{"type": "Resize", "img_scale": [48, 32]}, {"type": "RandomFlip", "flip_ratio": 0.5}]


def places(node, path=()):
    """Return the paths of all values of a tree."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated(content, rng):
    """Return the bytes of a damaged copy."""
    content = json.loads(json.dumps(content))
    for _ in range(rng.choice((1, 1, 2, 5))):
        *path, last = rng.choice(list(places(content)))
        node = content
        for key in path:
            node = node[key]
        if rng.random() < 0.2:
            del node[last]
        elif rng.random() < 0.2 and isinstance(node, list):
            node.append(rng.choice(node))
        else:
            node[last] = rng.choice(VALUES)
    data = bytearray(json.dumps(content).encode())
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data))]
    elif rng.random() < 0.2:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def test_mutated_files(tmp_path):
    content = coco_content(3)
    write_data(tmp_path, content)
    rng, path, outcomes = random.Random(0), tmp_path / "mutated.json", {"read": 0, "refused": 0}
    spec = {"type": "CocoDataset", "ann_file": str(path), "img_prefix": str(tmp_path), "pipeline": PIPELINE}
    for number in range(2000):
        path.write_bytes(mutated(content, rng))
        bad_boxes = "drop" if number % 2 else "raise"
        try:
            data = build_dataset({**spec, "bad_boxes": bad_boxes}, training=bool(number % 3))
        except (AnnotationError, FileNotFoundError) as err:
            assert str(err)
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        for record in data.records:
            assert (record.boxes[:, 2:] > record.boxes[:, :2]).all() and record.labels.max(initial=0) < 3
    assert outcomes["refused"] > 800 and outcomes["read"] > 50


def test_images_that_are_not_what_the_file_says(tmp_path):
    path = write_data(tmp_path, coco_content(1))
    spec = {"type": "CocoDataset", "ann_file": path, "img_prefix": str(tmp_path), "pipeline": PIPELINE}
    data = build_dataset(spec, training=True)
    mapper, record = PipelineMapper(data.built_pipelines()), data.records[0]
    for change in (
        lambda file: Path(file).write_bytes(b""),
        lambda file: Path(file).write_bytes(b"\x89PNG\r\n\x1a\n"),
        lambda file: Image.new("RGB", (1, 1)).save(file),
        lambda file: Image.new("I;16", (96, 64)).save(file),
    ):
        change(record.file)
        with pytest.raises(ValueError, match=r"0.png"):
            mapper(record, None)
