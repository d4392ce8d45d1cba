"""Looks at a data set before a network is trained on it."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from steploop.data import read_image
from steploop.modeling.layers.boxes import pairwise_iou

from .data import AnnotationError, build_dataset, read_coco
from .data.coco import Record, box_problem, chosen_classes
from .data.transforms import resize
from .evaluation.pictures import Picture, grid, tile
from .modeling.anchors import Anchors

_SMALL, _MEDIUM = 32**2, 96**2
# A box of the ground truth that no anchor overlaps so much is learned badly.
_COVERED = 0.5
_SHOWN = 10
_TILES = 16


class Report(NamedTuple):
    """What was found.

    Attributes:
        text: the tables.
        problems: what a training would fail on, or learn wrongly from.
        remarks: what is worth a look.
    """

    text: str
    problems: list[str]
    remarks: list[str]


def check_files(
    files: Sequence[tuple[str, str]],
    *,
    classes: Sequence[str] | None = None,
    anchors: Anchors | None = None,
    img_scale: tuple[int, int] | None = None,
) -> tuple[Report, list[Record], tuple[str, ...]]:
    """Check annotation files with their images; every image is decoded.

    Args:
        files: (annotation file, image folder) of each split.
        classes: the names of the labels; None takes those of the first file.
        anchors: of a detector: tell how many boxes they cover.
        img_scale: the size that images are resized to fit into.

    Returns:
        The report, the records of all splits, and the names of the labels.

    Raises:
        AnnotationError, FileNotFoundError: a file cannot be used at all.
    """
    problems: list[str] = []
    remarks: list[str] = []
    tables, everything, hashes = [], [], defaultdict(list)
    names = chosen_classes(read_coco(files[0][0]), classes)
    for path, folder in files:
        problems += _bad_boxes(path)
        spec = {"type": "CocoDataset", "ann_file": path, "img_prefix": folder, "classes": list(names)}
        records = list(build_dataset({**spec, "bad_boxes": "drop"}, training=False).records)
        everything += records
        tables.append(f"{path}: {len(records)} images\n{_class_table(records, names)}")
        remarks += _suspicious(path, records)
        for record in records:
            problem = _image_problem(record)
            problems += [problem] if problem else []
            hashes[hashlib.sha256(Path(record.file).read_bytes()).hexdigest()].append((path, record.file))
    for copies in hashes.values():
        if len({path for path, _ in copies}) > 1:
            problems.append(f"the same image is in several splits: {', '.join(file for _, file in copies)}")
        elif len(copies) > 1:
            remarks.append(f"the same image comes several times: {', '.join(file for _, file in copies[:3])}")
    if anchors is not None:
        tables.append(_anchor_table(everything, names, anchors, img_scale))
    listed = [*(f"PROBLEM {text}" for text in problems), *(f"remark  {text}" for text in remarks)]
    more = [f"... and {len(listed) - 5 * _SHOWN} more"] if len(listed) > 5 * _SHOWN else []
    text = "\n\n".join([*tables, "\n".join([*listed[: 5 * _SHOWN], *more]) or "Nothing suspicious was found."])
    return Report(text, problems, remarks), everything, names


def contact_sheet(records: Sequence[Record], classes: Sequence[str]) -> Picture:
    """Return a picture of some images, evenly spaced, with their boxes."""
    places = np.linspace(0, len(records) - 1, min(_TILES, len(records))).astype(int)
    chosen = [records[place] for place in places]
    return grid([tile(record, record.boxes.tolist(), record.labels.tolist(), classes, None) for record in chosen])


def _bad_boxes(path: str) -> list[str]:
    coco, found = read_coco(path), []
    for image_id, entries in coco.annotations.items():
        image = coco.images[image_id]
        for entry in entries:
            problem = box_problem(entry["bbox"], image["width"], image["height"])
            if problem:
                found.append(f"{path}: annotation {entry.get('id')} of {image['file_name']} {problem}")
    return found


def _class_table(records: Sequence[Record], names: Sequence[str]) -> str:
    boxes = np.concatenate([record.boxes for record in records] or [np.zeros((0, 4), dtype=np.float32)])
    labels = np.concatenate([record.labels for record in records] or [np.zeros(0, dtype=int)])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    rows = []
    for label, name in enumerate(names):
        own = areas[labels == label]
        images = sum(bool((record.labels == label).any()) for record in records)
        side = f"{np.sqrt(np.median(own)):.0f}" if len(own) else "-"
        counts = [(own < _SMALL).sum(), ((own >= _SMALL) & (own < _MEDIUM)).sum(), (own >= _MEDIUM).sum()]
        rows.append([name, images, len(own), *counts, side])
    headers = ["class", "images", "boxes", "small", "medium", "large", "median side"]
    return tabulate(rows, headers=headers, tablefmt="simple")


def _suspicious(path: str, records: Sequence[Record]) -> list[str]:
    found = []
    for record in records:
        for number, (x1, y1, x2, y2) in enumerate(record.boxes.tolist()):
            where = f"{path}: box {number} of {record!r}"
            if x1 < -1 or y1 < -1 or x2 > record.width + 1 or y2 > record.height + 1:
                found.append(f"{where} reaches over the image: {x1:g}, {y1:g}, {x2:g}, {y2:g}")
            elif max(x2 - x1, y2 - y1) > 15 * min(x2 - x1, y2 - y1):
                found.append(f"{where} is {x2 - x1:g} x {y2 - y1:g} pixels, very long")
        same = np.unique(np.column_stack([record.boxes, record.labels]), axis=0)
        if len(same) < len(record.boxes):
            found.append(f"{path}: {record!r} has the same box twice")
    empty = sum(not len(record.boxes) for record in records)
    return found + ([f"{path}: {empty} images have no box"] if empty else [])


def _image_problem(record: Record) -> str:
    try:
        image = read_image(record.file)
    except (ValueError, OSError) as err:
        return str(err)
    if image.size != (record.width, record.height):
        return f"{record!r} is annotated as {record.width} x {record.height} and has {image.width} x {image.height}"
    return ""


def _anchor_table(
    records: Sequence[Record], names: Sequence[str], anchors: Anchors, img_scale: tuple[int, int] | None
) -> str:
    """Return for each class the share of boxes that an anchor covers by half, in the resized images."""
    import torch

    best: dict[int, list[float]] = defaultdict(list)
    for record in records:
        sample: dict[str, Any] = {
            "image": torch.zeros(1, record.height, record.width, dtype=torch.uint8),
            "boxes": torch.from_numpy(record.boxes),
            "ignored": torch.zeros(0, 4),
            "scale": (1.0, 1.0),
        }
        if img_scale is not None:
            resize(sample, img_scale)
        height, width = sample["image"].shape[1:]
        cells = [(-(-height // stride), -(-width // stride)) for stride in anchors.strides]
        overlaps = pairwise_iou(sample["boxes"], torch.cat(anchors.grid(cells, (height, width))))
        for label, value in zip(record.labels.tolist(), overlaps.max(dim=1).values.tolist()):
            best[label].append(value)
    rows = [
        [name, f"{100 * np.mean(np.array(best[label]) >= _COVERED):.1f} %", f"{np.mean(best[label]):.2f}"]
        for label, name in enumerate(names)
        if best[label]
    ]
    return tabulate(rows, headers=["class", "boxes with an anchor of IoU >= 0.5", "mean IoU"], tablefmt="simple")


__all__ = ["AnnotationError", "Report", "check_files", "contact_sheet"]
