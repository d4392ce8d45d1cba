"""Curves as text and as a picture, without a plotting library."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

COLOURS = ("blue", "darkorange", "green", "purple")


def text_chart(values: Sequence[float], height: int = 10) -> str:
    """Return values >= 0, from left to right, as a chart of `height` lines of text, from 0 to the largest of them."""
    top = max(values)
    heights = [round(value / top * height) if top else 0 for value in values]
    lines = []
    for level in range(height, 0, -1):
        label = f"{top:.3g}" if level == height else ""
        lines.append(f"{label:>8} |" + "".join("#" if reached >= level else " " for reached in heights).rstrip())
    return "\n".join([*lines, f"{0:>8} +" + "-" * len(values)])


def draw_curves(
    curves: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str],
    label: str = "",
    size: tuple[int, int] = (800, 400),
) -> None:
    """Write a PNG file; each curve has its own scale, from its smallest to its largest value.

    Args:
        curves: {name: at least two values, evenly spaced from left to right}; at most four.
        path: the file; its folder is created if it is missing.
        label: written below the curves.
        size: width and height in pixels.
    """
    from PIL import Image, ImageDraw

    width, height = size
    margin = 30
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((margin, margin, width - margin, height - margin), outline="lightgray")
    for place, ((name, values), colour) in enumerate(zip(curves.items(), COLOURS)):
        low, high = min(values), max(values)
        across, up = (width - 2 * margin) / (len(values) - 1), (height - 2 * margin) / (high - low or 1.0)
        line = [(margin + i * across, height - margin - (value - low) * up) for i, value in enumerate(values)]
        draw.line(line, fill=colour, width=2)
        draw.text((margin + place * width // 4, 10), f"{name}: {low:.4g} .. {high:.4g}", fill=colour)
    draw.text((margin, height - 20), label, fill="black")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG")
