"""The palette, text, legends and tiles that all drawn pictures share."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK, FAINT, EMPTY, RULE = "#fbfbfc", "#1f2430", "#737b8c", "#eceef2", "#d5d9e0"
# Colours that can be distinguished on a photograph, also by most people with colour blindness.
COLOURS = ("#4c7fd1", "#e0822f", "#2f9e5f", "#d9463f", "#8c62c4", "#b08b1e", "#2aa5a0", "#d65a9a")


@lru_cache(maxsize=16)
def font(size: int) -> Font:
    """Return Pillow's own font, so that a picture is the same on every machine; `size` in pixels."""
    return ImageFont.load_default(size)


def colour_of(label: int) -> str:
    """Return one of COLOURS for a label >= 0; they repeat after the last one."""
    return COLOURS[label % len(COLOURS)]


def shorten(draw: ImageDraw.ImageDraw, text: str, width: float, text_font: Font) -> str:
    """Return `text` without its middle, if it is wider than `width` pixels: names of files differ at both ends."""
    short, kept = text, len(text)
    while draw.textlength(short, font=text_font) > width and kept > 2:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def draw_legend(
    draw: ImageDraw.ImageDraw, right: float, top: float, entries: Sequence[tuple[str, str]], *, radius: int = 4
) -> float:
    """Write the meaning of colours, from right to left.

    Args:
        draw: of the picture.
        right, top: the legend's upper right corner, in pixels.
        entries: (name, colour), the rightmost first.
        radius: of the corners of the small frames.

    Returns:
        x of the legend's left end, with some room.
    """
    for name, colour in entries:
        right -= draw.textlength(name, font=font(13))
        draw.text((right, top), name, fill=INK, font=font(13))
        right -= 20
        draw.rounded_rectangle((right, top + 2, right + 13, top + 15), radius, outline=colour, width=3)
        right -= 18
    return right


def tile_size(sizes: Sequence[tuple[int, int]], area: int) -> tuple[int, int]:
    """Return (width, height) of a tile of `area` pixels with the typical proportions of images.

    Args:
        sizes: (width, height) of each image.
        area: in pixels.
    """
    ratio = float(np.clip(np.median([height / width for width, height in sizes]), 0.5, 2.5))
    width = round((area / ratio) ** 0.5)
    return width, round(width * ratio)


def draw_tile(
    canvas: Image.Image,
    corner: tuple[int, int],
    tile: tuple[int, int],
    image: Image.Image,
    colour: str,
    *,
    frame: int = 5,
    radius: int = 10,
) -> None:
    """Draw an image in a frame, as large as its proportions allow.

    Args:
        canvas: the picture.
        corner: (x, y) of the tile's upper left corner.
        tile: (width, height) with the frame.
        image: RGB.
        colour: of the frame.
        frame: its width in pixels.
        radius: of its corners.
    """
    inner = tile[0] - 2 * frame, tile[1] - 2 * frame
    scale = min(inner[0] / image.width, inner[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    fitted = image.resize(size, Image.Resampling.LANCZOS)
    picture = Image.new("RGB", inner, EMPTY)
    picture.paste(fitted, ((inner[0] - fitted.width) // 2, (inner[1] - fitted.height) // 2))
    canvas.paste(colour, corner, _rounded(tile, radius))
    canvas.paste(picture, (corner[0] + frame, corner[1] + frame), _rounded(inner, max(0, radius - frame)))


@lru_cache(maxsize=8)
def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """Return the mask of a rectangle with smooth round corners: PIL's own are jagged."""
    if radius == 0:
        return Image.new("L", size, 255)
    fine = 4
    mask = Image.new("L", (size[0] * fine, size[1] * fine))
    box = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * fine, fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)
