"""Pictures of detections: tiles with boxes, and precision-recall curves."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from steploop.data import read_image

from ..data.coco import Record

Picture = NDArray[np.uint8]
TILE = 320
_COLUMNS = 4
_MARGIN = 4
_TEXT = 12


def colour_of(label: int, count: int) -> tuple[int, int, int]:
    """Return a colour for a label of so many."""
    red, green, blue = colorsys.hsv_to_rgb(label / max(count, 1), 0.8, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def draw_boxes(
    image: Image.Image,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    *,
    classes: Sequence[str],
    scores: Sequence[float] | None = None,
    scale: float = 1.0,
) -> None:
    """Draw boxes (x1, y1, x2, y2), times `scale`, with their classes (and scores) onto an image, in place."""
    draw = ImageDraw.Draw(image)
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        colour = colour_of(label, len(classes))
        x1, y1, x2, y2 = (float(value) * scale for value in box)
        draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=2)
        score = "" if scores is None else f" {scores[number]:.2f}"
        draw.text((x1 + 2, max(0.0, y1 - _TEXT)), f"{classes[label]}{score}", fill=colour)


def tiles_of(
    records: Sequence[Record],
    classes: Sequence[str],
    category_ids: Sequence[int],
    found: Sequence[Mapping[str, Any]],
    *,
    score: float,
) -> Picture:
    """Return one picture (H, W, 3) with two tiles for each record: what was found, and the ground truth below it."""
    by_image: dict[Any, list[Mapping[str, Any]]] = {record.image_id: [] for record in records}
    for entry in found:
        if entry["image_id"] in by_image and entry["score"] >= score:
            by_image[entry["image_id"]].append(entry)
    pairs = []
    for record in records:
        entries = by_image[record.image_id]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (entry["bbox"] for entry in entries)]
        labels = [category_ids.index(entry["category_id"]) for entry in entries]
        scores = [entry["score"] for entry in entries]
        above = tile(record, boxes, labels, classes, scores)
        below = tile(record, record.boxes.tolist(), record.labels.tolist(), classes, None)
        pairs.append(np.concatenate((above, below)))
    return grid(pairs)


def tile(
    record: Record,
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    classes: Sequence[str],
    scores: Sequence[float] | None,
) -> Picture:
    """Return the record's image, with boxes, in a square of TILE pixels."""
    image = read_image(record.file)
    scale = TILE / max(image.size)
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw_boxes(small, boxes, labels, classes=classes, scores=scores, scale=scale)
    square = Image.new("RGB", (TILE, TILE))
    square.paste(small)
    return np.asarray(square)


def grid(tiles: Sequence[Picture], columns: int = _COLUMNS) -> Picture:
    """Return tiles of one size side by side, in rows of `columns`."""
    if not tiles:
        return np.zeros((TILE, TILE, 3), dtype=np.uint8)
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    whole = np.full((rows * (height + _MARGIN), columns * (width + _MARGIN), 3), 255, dtype=np.uint8)
    for number, each in enumerate(tiles):
        top, left = number // columns * (height + _MARGIN), number % columns * (width + _MARGIN)
        whole[top : top + height, left : left + width] = each
    return whole


def precision_recall_plot(precision: NDArray[np.float64], classes: Sequence[str], *, title: str) -> Picture:
    """Return a picture of the curves (101 recalls, classes); a class without ground truth (-1) has none."""
    size, left, top = 400, 50, 30
    image = Image.new("RGB", (size + left + 180, size + top + 40), "white")
    draw = ImageDraw.Draw(image)
    for tenth in range(11):
        place = tenth * size // 10
        draw.line((left, top + place, left + size, top + place), fill="lightgrey")
        draw.line((left + place, top, left + place, top + size), fill="lightgrey")
        draw.text((left + place - 8, top + size + 4), f"{tenth / 10:.1f}", fill="black")
        draw.text((left - 24, top + size - place - 6), f"{tenth / 10:.1f}", fill="black")
    draw.text((left, 8), title, fill="black")
    draw.text((left + size // 2 - 20, top + size + 20), "recall", fill="black")
    draw.text((2, 8), "precision", fill="black")
    for label, name in enumerate(classes):
        curve, colour = precision[:, label], colour_of(label, len(classes))
        missing = bool((curve < 0).all())
        if not missing:
            points = [(left + r * size / 100, top + size * (1 - max(p, 0.0))) for r, p in enumerate(curve)]
            draw.line(points, fill=colour, width=2)
        text = f"{name}: no ground truth" if missing else f"{name}: {curve.clip(min=0).mean():.3f}"
        if label < size // _TEXT:
            draw.text((left + size + 10, top + label * _TEXT), text, fill=colour)
    return np.asarray(image)


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
