"""A picture of some identities with their images, to see at a glance whether the labels are right."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from steploop.data import read_image
from steploop.data.pictures.draw import FAINT, INK, PAPER, RULE, draw_legend, draw_tile, font, tile_size
from steploop.engine.run.files import write_atomically

from .data.items import ReidItem
from .data.report import Report

_TRAIN, _QUERY, _GALLERY = "#b8bfcc", "#e0822f", "#4c7fd1"
_TRAINED = "Trained on"

# Pixels. A tile has this area whatever the images' proportions are.
_TILE_AREA = 11_000
_FRAME, _GAP, _MARGIN, _LABEL, _CAPTION = 3, 10, 28, 118, 20
_HEADER, _SECTION = 66, 40


def write_contact_sheet(report: Report, path: str | Path, *, num_ids: int = 6, num_images: int = 10) -> None:
    """Write a picture of identities to train on, and of identities to test on.

    Identities are spread evenly over each half; of one, its queries come first, then a few images of each camera. The
    same data set gives the same picture.

    Args:
        report: of the data set; images that it could not read are left out.
        path: the PNG; it appears whole or not at all, and its folder is made.
        num_ids: rows of each half.
        num_images: images in a row.

    Raises:
        ValueError: no image can be read, or num_ids or num_images is below 1.
    """
    if num_ids < 1 or num_images < 1:
        raise ValueError(f"expected at least one identity and one image, got {num_ids} and {num_images}")
    if not report.sizes:
        raise ValueError(f"data set {report.name!r} has no image that can be read, so there is nothing to draw")
    queries = {item.img_path for item in report.subsets["query"]}
    train, test = report.subsets["train"], [*report.subsets["query"], *report.subsets["gallery"]]
    halves = [
        (title, _choose([item for item in items if item.img_path in report.sizes], queries, num_ids))
        for title, items in ((_TRAINED, train), ("Tested on", test))
    ]
    picture = _draw(report, [half for half in halves if half[1]], queries, num_images)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: picture.save(file, format="PNG", optimize=True))


def _choose(items: Sequence[ReidItem], queries: set[str], count: int) -> list[list[ReidItem]]:
    """Return the images of up to `count` identities, evenly spaced in their order: queries first, cameras in turn."""
    groups: dict[int, list[ReidItem]] = defaultdict(list)
    turns: Counter[tuple[int, int]] = Counter()
    order = {}
    for item in items:
        order[item] = (item.img_path not in queries, turns[item.pid, item.camid], item.camid, item.img_path)
        turns[item.pid, item.camid] += 1
        groups[item.pid].append(item)
    pids = sorted(groups)
    chosen = dict.fromkeys(np.linspace(0, len(pids) - 1, min(count, len(pids))).round().astype(int).tolist())
    return [sorted(groups[pids[place]], key=order.__getitem__) for place in chosen]


def _draw(
    report: Report, halves: Sequence[tuple[str, list[list[ReidItem]]]], queries: set[str], num_images: int
) -> Image.Image:
    width, height = tile = tile_size(list(report.sizes.values()), _TILE_AREA)
    columns = max(len(row[:num_images]) for _, rows in halves for row in rows)
    step = height + _CAPTION + _GAP
    size = (
        max(2 * _MARGIN + _LABEL + columns * (width + _GAP) - _GAP, 620),
        _HEADER + sum(_SECTION + len(rows) * step for _, rows in halves) + _MARGIN - _GAP,
    )
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    _draw_header(draw, size[0], report, queries)
    # An image of an unknown camera has one of its own, whose number says nothing.
    images = Counter(item.camid for items in report.subsets.values() for item in items)
    y = _HEADER
    for title, rows in halves:
        draw.text((_MARGIN, y + 12), title, fill=INK, font=font(16))
        draw.line([(_MARGIN + _LABEL, y + 22), (size[0] - _MARGIN, y + 22)], fill=RULE, width=1)
        y += _SECTION
        for row in rows:
            _draw_label(draw, y, row, images)
            for column, item in enumerate(row[:num_images]):
                corner = _MARGIN + _LABEL + column * (width + _GAP), y
                colour = _TRAIN if title == _TRAINED else _QUERY if item.img_path in queries else _GALLERY
                draw_tile(canvas, corner, tile, read_image(item.img_path), colour, frame=_FRAME, radius=0)
                if images[item.camid] > 1:
                    place = corner[0] + width // 2, y + height + 3
                    draw.text(place, f"cam {item.camid + 1}", fill=FAINT, font=font(12), anchor="ma")
            y += step
    return canvas


def _draw_header(draw: ImageDraw.ImageDraw, width: int, report: Report, queries: set[str]) -> None:
    legend = (("gallery", _GALLERY), ("query", _QUERY), ("train", _TRAIN)) if queries else ()
    draw_legend(draw, width - _MARGIN, 24, legend, radius=0)
    name = report.name if len(report.name) <= 40 else f"...{report.name[-37:]}"  # the end of a path tells more
    draw.text((_MARGIN, 18), name, fill=INK, font=font(22))
    counts = ", ".join(f"{row['subset']} {row['ids']:,} ids in {row['images']:,} images" for row in report.counts())
    draw.text((_MARGIN, 46), counts, fill=FAINT, font=font(13))


def _draw_label(draw: ImageDraw.ImageDraw, y: int, row: Sequence[ReidItem], images: Counter[int]) -> None:
    cameras = len({item.camid for item in row if images[item.camid] > 1})
    lines = [f"id {abs(row[0].pid)}", f"{len(row)} images", f"{cameras} cameras" if cameras else ""]
    for number, line in enumerate(lines):
        draw.text((_MARGIN, y + 4 + 18 * number), line, fill=FAINT if number else INK, font=font(12 if number else 15))
