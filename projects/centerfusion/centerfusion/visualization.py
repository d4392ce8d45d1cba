"""Pictures of samples: boxes in the image, and from above with the radar points."""

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from steploop.data import read_image

from .data import geometry
from .data.classes import CLASSES
from .data.radar import VX, VY
from .data.records import Record, read_radar_points

_EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
_FRONT = [(0, 5), (1, 4)]  # a cross on the side that faces forward
_METRES, _PIXELS = 50, 10  # shown forward from above, and its scale
_GREEN = (70, 200, 90)
Colour = tuple[int, int, int]
CameraBoxes = Mapping[str, np.ndarray]


def colour_of(label: int) -> Colour:
    """Return the colour of a class (index)."""
    red, green, blue = colorsys.hsv_to_rgb(label / len(CLASSES), 0.85, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def draw_boxes(image: Image.Image, boxes: CameraBoxes, calib: np.ndarray) -> Image.Image:
    """Return the image with the edges of 3D boxes, a cross in front, the class, and the score where there is one.

    Args:
        image: RGB.
        boxes: "location" (n, 3), "dim" (n, 3), "rotation_y" (n,), "class" (n,) from 1; "score" (n,) if predicted.
        calib: (3, 4).
    """
    image = image.copy()
    draw = ImageDraw.Draw(image)
    corners = geometry.box_corners(boxes["dim"], boxes["location"], boxes["rotation_y"])
    for i in np.argsort(-boxes["location"][:, 2]):
        if (corners[i, :, 2] < 0.2).any():
            continue
        pixels = [tuple(point) for point in geometry.project(corners[i], calib).tolist()]
        label = int(boxes["class"][i]) - 1
        colour = colour_of(label)
        for start, end in _EDGES + _FRONT:
            draw.line((*pixels[start], *pixels[end]), fill=colour, width=1)
        text = CLASSES[label] + (f" {boxes['score'][i]:.2f}" if "score" in boxes else "")
        draw.text((min(p[0] for p in pixels), min(p[1] for p in pixels) - 11), text, fill=colour)
    return image


def draw_from_above(true: CameraBoxes, predicted: CameraBoxes, radar: np.ndarray, height: int) -> Image.Image:
    """Return true boxes (green), predicted boxes (their classes' colours) and radar points with their velocities.

    Args:
        true: as for `draw_boxes`.
        predicted: likewise.
        radar: (18, N) in the camera's frame.
        height: of the picture in pixels; 50 m forward and 25 m to each side are shown.
    """
    scale = height / _METRES
    image = Image.new("RGB", (height, height), (24, 24, 28))
    draw = ImageDraw.Draw(image)

    def place(x: np.ndarray, z: np.ndarray) -> list[tuple[float, float]]:
        return [(height / 2 + scale * a, height - scale * b) for a, b in zip(np.ravel(x), np.ravel(z))]

    for metres in range(10, _METRES, 10):
        y = height - scale * metres
        draw.line((0, y, height, y), fill=(50, 50, 56))
        draw.text((2, y - 11), f"{metres} m", fill=(120, 120, 128))
    start = place(radar[0], radar[2])
    end = place(radar[0] + 0.5 * radar[VX], radar[2] + 0.5 * radar[VY])
    for (x, y), tip in zip(start, end):
        draw.line((x, y, *tip), fill=(250, 220, 90))
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(250, 220, 90))
    for boxes, is_true in ((true, True), (predicted, False)):
        corners = geometry.box_corners(boxes["dim"], boxes["location"], boxes["rotation_y"])[:, :4]
        for i in range(len(corners)):
            colour = _GREEN if is_true else colour_of(int(boxes["class"][i]) - 1)
            outline = place(corners[i, :, 0], corners[i, :, 2])
            draw.line([*outline, outline[0]], fill=colour, width=3 if is_true else 1)
            front = np.mean([outline[0], outline[1]], axis=0)
            center = np.mean(outline, axis=0)
            draw.line((*center, *front), fill=colour)
    return image


def true_boxes(record: Record) -> dict[str, np.ndarray]:
    """Return the annotated boxes of an image as `draw_boxes` takes them."""
    boxes = record["boxes"]
    return {name: boxes[name] for name in ("location", "dim", "rotation_y")} | {"class": boxes["category"]}


def draw_sample(record: Record, predicted: CameraBoxes, min_score: float = 0.25) -> np.ndarray:
    """Return a picture (H, W, 3) uint8: predicted and true boxes in the image, and both from above.

    Args:
        record: of the image.
        predicted: of `camera_boxes`.
        min_score: predicted boxes below it are not drawn.
    """
    keep = (predicted["score"] >= min_score) & (predicted["dim"] > 0).all(axis=1)
    drawn = {name: value[keep] for name, value in predicted.items()}
    image = read_image(record["file"])
    true, calib = true_boxes(record), record["calib"]
    left = draw_boxes(image, drawn, calib)
    middle = draw_boxes(image, true, calib)
    above = draw_from_above(true, drawn, read_radar_points(record), image.height * 2)
    sheet = Image.new("RGB", (image.width + above.width, image.height * 2))
    sheet.paste(left, (0, 0))
    sheet.paste(middle, (0, image.height))
    sheet.paste(above, (image.width, 0))
    draw = ImageDraw.Draw(sheet)
    for text, y in (("predicted", 2), ("annotated", image.height + 2)):
        draw.text((3, y), text, fill="white")
    return np.asarray(sheet)


def draw_annotated(record: Record) -> np.ndarray:
    """Return a picture (H, W, 3) uint8: annotated boxes in the image, and from above with the radar points."""
    image = read_image(record["file"])
    true = true_boxes(record)
    nothing = {name: value[:0] for name, value in true.items()}
    above = draw_from_above(true, nothing, read_radar_points(record), image.height)
    sheet = Image.new("RGB", (image.width + above.width, image.height))
    sheet.paste(draw_boxes(image, true, record["calib"]), (0, 0))
    sheet.paste(above, (image.width, 0))
    return np.asarray(sheet)


def pick(count: int, records: Any) -> list[int]:
    """Return the indices of `count` records at equal distances."""
    return np.unique(np.linspace(0, len(records) - 1, count).round().astype(int)).tolist() if count else []
