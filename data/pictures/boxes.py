"""Draws boxes with names and scores on an image."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw

from .draw import colour_of, font


def draw_boxes(
    image: Image.Image,
    boxes: torch.Tensor | np.ndarray,
    *,
    labels: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    colours: Sequence[str] | None = None,
    width: int = 2,
) -> Image.Image:
    """Return a copy of an RGB image with boxes on it, each with a tag of its name and score.

    Args:
        image: it is not changed.
        boxes: (N, 4) as (x1, y1, x2, y2), in pixels of the image; parts outside the image are not drawn.
        labels: the label of each box, >= 0; boxes of one label have one colour.
        names: the name in each box's tag; with `labels`, the name of each label.
        scores: the score of each box, in 0..1, written in percent; the best box is drawn last, on top.
        colours: the colour of each box, such as "#d9463f"; replaces the colours of the labels.
        width: width of the lines, in pixels.

    Raises:
        ValueError: `boxes` has another shape, or one of the lists another length.
    """
    corners = np.asarray(boxes.detach().cpu() if isinstance(boxes, torch.Tensor) else boxes, dtype=np.float64)
    count = len(corners)
    if corners.shape != (count, 4) and corners.size:
        raise ValueError(f"expected boxes (N, 4) as (x1, y1, x2, y2), got the shape {corners.shape}")
    per_box = {"labels": labels, "scores": scores, "colours": colours, "names": None if labels is not None else names}
    for what, values in per_box.items():
        if values is not None and len(values) != count:
            raise ValueError(f"expected {what} for each of the {count} boxes, got {len(values)}")
    drawn = image.copy()
    draw = ImageDraw.Draw(drawn)
    order = range(count) if scores is None else np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
    for index in map(int, order):
        label = 0 if labels is None else int(labels[index])
        colour = colour_of(label) if colours is None else colours[index]
        x1, y1, x2, y2 = corners[index].tolist()
        draw.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=colour, width=width)
        parts = [] if names is None else [names[index if labels is None else label]]
        parts += [] if scores is None else [f"{100 * float(scores[index]):.0f}%"]
        if parts:
            _draw_tag(draw, drawn.size, (x1, y1), " ".join(parts), colour)
    return drawn


def _draw_tag(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], corner: tuple[float, float], text: str, colour: str
) -> None:
    """Write above a box's upper left corner, or inside the box where there is no room above it."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font(12))
    wide, high = right - left + 6, bottom - top + 6
    x = min(max(corner[0], 0), max(0, size[0] - wide))
    y = corner[1] - high if corner[1] >= high else max(corner[1], 0)
    draw.rectangle((x, y, x + wide, y + high), fill=colour)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font(12))
