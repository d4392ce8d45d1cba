"""Pictures for people: clips with what was predicted, a confusion matrix, scores over time."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Picture = np.ndarray

_GREEN, _RED, _INK, _PAPER = (30, 140, 60), (190, 40, 40), (20, 20, 20), (255, 255, 255)
_LINE = 14


def clip_strip(clip: np.ndarray, text: str, *, right: bool | None = None, frames: int = 8, height: int = 72) -> Picture:
    """Return frames of a clip side by side below a line of text, uint8 (H, W, 3).

    Args:
        clip: uint8 (3, T, H, W).
        text: such as "waving 0.93 (walking)".
        right: colours the text green or red; None leaves it black.
        frames: shown, evenly spaced.
        height: of a frame.
    """
    places = np.linspace(0, clip.shape[1] - 1, min(frames, clip.shape[1])).round().astype(int)
    width = max(1, round(clip.shape[3] * height / clip.shape[2]))
    picture = Image.new("RGB", ((width + 2) * len(places), height + _LINE + 4), _PAPER)
    for column, place in enumerate(places):
        frame = Image.fromarray(np.ascontiguousarray(clip[:, place].transpose(1, 2, 0)))
        picture.paste(frame.resize((width, height)), ((width + 2) * column, _LINE + 2))
    colour = _INK if right is None else _GREEN if right else _RED
    ImageDraw.Draw(picture).text((2, 0), text, fill=colour, font=_font())
    return np.asarray(picture)


def stack(pictures: Sequence[Picture]) -> Picture:
    """Return pictures one below the other, on white."""
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(picture, ((0, 4), (0, width - picture.shape[1]), (0, 0)), constant_values=255) for picture in pictures
    ]
    return np.concatenate(padded)


def confusion_picture(matrix: np.ndarray, names: Sequence[str], *, title: str) -> Picture:
    """Return a confusion matrix as a picture: the darker, the larger the share of a row; counts in the cells.

    Args:
        matrix: int (C, C), rows labels, columns predictions.
        names: of the C classes.
        title: above it.
    """
    count = len(names)
    cell = int(np.clip(640 // max(count, 1), 6, 40))
    font, left = _font(), 8 + max(int(_font().getlength(name)) for name in names)
    top = _LINE * 2 + 4
    picture = Image.new("RGB", (left + cell * count + 8, top + cell * count + 8), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((2, 0), title, fill=_INK, font=font)
    draw.text((left, _LINE), "predicted", fill=_INK, font=font)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row in range(count):
        draw.text((2, top + row * cell + max(0, (cell - _LINE) // 2)), names[row], fill=_INK, font=font)
        for column in range(count):
            value = int(255 * (1 - shares[row, column]))
            corner = (left + column * cell, top + row * cell)
            draw.rectangle((*corner, corner[0] + cell - 1, corner[1] + cell - 1), fill=(value, value, 255))
            if cell >= 24 and matrix[row, column]:
                ink = _PAPER if value < 110 else _INK
                draw.text(
                    (corner[0] + 3, corner[1] + (cell - _LINE) // 2), str(matrix[row, column]), fill=ink, font=font
                )
    return np.asarray(picture)


_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (255, 127, 14), (148, 103, 189))


def timeline(times: Sequence[float], scores: np.ndarray, names: Sequence[str], *, title: str) -> Picture:
    """Return lines of scores over time, uint8 (H, W, 3).

    Args:
        times: seconds, ascending (N,).
        scores: (N, classes), 0..1.
        names: of the classes, at most 5.
        title: above it.
    """
    width, height, left, top = 640, 220, 36, _LINE + 6
    legend = int(max(_font().getlength(name) for name in names)) + 30
    picture = Image.new("RGB", (left + width + legend, top + height + _LINE + 8), _PAPER)
    draw, font = ImageDraw.Draw(picture), _font()
    draw.text((2, 0), title, fill=_INK, font=font)
    draw.rectangle((left, top, left + width, top + height), outline=(160, 160, 160))
    span = max(times[-1] - times[0], 1e-9)
    for share in (0.0, 0.5, 1.0):
        draw.text((2, top + height * (1 - share) - _LINE / 2), f"{share:.1f}", fill=_INK, font=font)
    for place in (0, len(times) // 2, len(times) - 1):
        x = left + width * (times[place] - times[0]) / span
        draw.text((x, top + height + 2), f"{times[place]:.1f} s", fill=_INK, font=font, anchor="ma" if place else "la")
    for column, name in enumerate(names):
        colour = _COLOURS[column % len(_COLOURS)]
        points = [
            (left + width * (time - times[0]) / span, top + height * (1 - float(score)))
            for time, score in zip(times, scores[:, column])
        ]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        draw.text((left + width + 8, top + column * (_LINE + 2)), name, fill=colour, font=font)
    return np.asarray(picture)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LINE - 3)
