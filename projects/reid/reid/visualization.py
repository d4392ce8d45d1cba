"""A picture of ranked retrievals: each query beside the gallery images that look most like it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from steploop.data import read_image
from steploop.data.pictures.draw import FAINT, INK, PAPER, RULE, Font, draw_legend, draw_tile, font, shorten, tile_size
from steploop.engine.run.files import write_atomically

from .evaluation import Retrieval

_QUERY, _RIGHT, _WRONG, _UNKNOWN = "#3b4252", "#2f9e5f", "#d9463f", "#4c7fd1"

# Pixels. A tile has this area whatever the images' proportions are.
_TILE_AREA = 15_000
_GAP, _MARGIN, _ROW_GAP = 12, 28, 22
_QUERY_GAP = 34
_LINE = 18
_HEADER = 78


@dataclass(frozen=True)
class RankedImage:
    """One image of the gallery as a query ranks it.

    Attributes:
        img_path: the image file.
        hit: whether it shows the query's identity; None if nobody knows.
        camid: its camera, from 0; None if it is unknown, and then the caption holds the file's name.
        distance: to the query.
    """

    img_path: str
    hit: bool | None
    camid: int | None
    distance: float


@dataclass(frozen=True)
class RankedQuery:
    """A query and the first images of its ranking.

    Attributes:
        img_path: the query's image file.
        caption: up to two lines below it.
        ranking: the nearest first.
    """

    img_path: str
    caption: str
    ranking: Sequence[RankedImage]


def visualize_ranking(
    retrieval: Retrieval, path: str | Path, *, num_queries: int = 6, top: int = 10, title: str = "Ranked retrievals"
) -> NDArray[np.uint8]:
    """Write a picture of some queries, spread evenly from the worst average precision to the best.

    The same retrieval gives the same picture. Gallery images of the query's identity and camera are left out, and at
    equal distance a wrong image comes first, as in the figures.

    Args:
        retrieval: what ReidEvaluator keeps.
        path: the PNG; it appears whole or not at all.
        num_queries: rows of the picture; fewer where fewer queries have a match.
        top: gallery images in a row.
        title: the heading.

    Returns:
        The picture as uint8 (3, H, W), RGB, for TensorBoard.

    Raises:
        FileNotFoundError: an image has gone.
        ValueError: an image cannot be read, or num_queries or top is below 1.
    """
    if num_queries < 1 or top < 1:
        raise ValueError(f"expected at least one query and one image, got num_queries={num_queries} and top={top}")
    queries = [_rank(retrieval, place, top) for place in _spread(retrieval, num_queries)]
    subtitle = f"{retrieval.kind}; from the worst to the best average precision"
    picture = draw_rank_list(queries, title=title, subtitle=subtitle)
    write_atomically(path, lambda file: picture.save(file, format="PNG", optimize=True))
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def draw_rank_list(queries: Sequence[RankedQuery], *, title: str, subtitle: str = "") -> Image.Image:
    """Draw a row for each query: its image, then its ranking.

    A hit has a green frame, another identity a red one, and a blue one says that nobody knows.

    Args:
        queries: the rows; their rankings may differ in length.
        title: the heading.
        subtitle: a line below it.

    Returns:
        An RGB image.

    Raises:
        FileNotFoundError: an image has gone.
        ValueError: an image cannot be read, or there is no query.
    """
    if not queries:
        raise ValueError("there is no query to draw")
    width, height = tile = tile_size([read_image(query.img_path).size for query in queries], _TILE_AREA)
    columns = max(len(query.ranking) for query in queries)
    step = height + 2 * _LINE + _ROW_GAP
    row_width = width + (_QUERY_GAP + columns * (width + _GAP) - _GAP if columns else 0)
    size = max(row_width, 560) + 2 * _MARGIN, _HEADER + len(queries) * step + _MARGIN - _ROW_GAP
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    _draw_header(draw, size[0], title, subtitle, {_colour(image) for query in queries for image in query.ranking})
    for row, query in enumerate(queries):
        x, y = _MARGIN, _HEADER + row * step
        draw_tile(canvas, (x, y), tile, read_image(query.img_path), _QUERY)
        caption = _fit(draw, query.caption.split("\n"), width + _QUERY_GAP)
        _draw_caption(draw, x + width // 2, y + height, caption, INK)
        x += width + _QUERY_GAP
        draw.line([(x - _QUERY_GAP // 2, y + 8), (x - _QUERY_GAP // 2, y + height - 8)], fill=RULE, width=2)
        for place, image in enumerate(query.ranking, 1):
            draw_tile(canvas, (x, y), tile, read_image(image.img_path), _colour(image))
            caption = _fit(draw, _lines(place, image), width + _GAP // 2)
            _draw_caption(draw, x + width // 2, y + height, caption, _colour(image))
            x += width + _GAP
    return canvas


def _spread(retrieval: Retrieval, count: int) -> list[int]:
    """Return up to `count` queries with a match, evenly spaced in the order of their average precision."""
    valid = np.flatnonzero(retrieval.result.valid)
    order = valid[np.argsort(retrieval.result.ap[valid], kind="stable")]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[places].tolist()


def _rank(retrieval: Retrieval, place: int, top: int) -> RankedQuery:
    query, gallery = retrieval.query[place], retrieval.gallery
    distances = retrieval.distances_of(place)
    hits = np.array([item.pid == query.pid for item in gallery])
    kept = np.flatnonzero(~(hits & np.array([item.camid == query.camid for item in gallery])))
    nearest = kept[np.lexsort((hits[kept], distances[kept]))][:top]
    ranking = [
        RankedImage(gallery[i].img_path, bool(hits[i]), gallery[i].camid, float(distances[i])) for i in nearest.tolist()
    ]
    caption = f"id {query.pid} · cam {query.camid + 1}\nAP {100 * retrieval.result.ap[place]:.1f}%"
    return RankedQuery(query.img_path, caption, ranking)


def _colour(image: RankedImage) -> str:
    if image.hit is None:
        return _UNKNOWN
    return _RIGHT if image.hit else _WRONG


def _lines(place: int, image: RankedImage) -> list[str]:
    if image.camid is None:
        return [f"{place} · {image.distance:.3f}", Path(image.img_path).name]
    return [f"{place}", f"cam {image.camid + 1} · {image.distance:.3g}"]


def _draw_header(draw: ImageDraw.ImageDraw, width: int, title: str, subtitle: str, colours: set[str]) -> None:
    """Write title and subtitle, and at the right what the frames of these colours mean."""
    legend = [("another identity", _WRONG), ("same identity", _RIGHT), ("query", _QUERY)]
    if _UNKNOWN in colours:
        legend = [entry for entry in legend if entry[1] in (*colours, _QUERY)]
        legend.insert(0, ("gallery", _UNKNOWN))
    x = draw_legend(draw, width - _MARGIN, 24, legend)
    draw.text((_MARGIN, 20), shorten(draw, title, x - 2 * _MARGIN, font(22)), fill=INK, font=font(22))
    draw.text((_MARGIN, 48), subtitle, fill=FAINT, font=font(13))


def _draw_caption(draw: ImageDraw.ImageDraw, x: int, y: int, lines: Sequence[str], colour: str) -> None:
    """Write centred lines below (x, y): the first in `colour`, the others pale."""
    for number, line in enumerate(lines):
        font = _caption_font(number)
        draw.text((x, y + 4 + number * _LINE), line, fill=FAINT if number else colour, font=font, anchor="ma")


def _caption_font(number: int) -> Font:
    return font(14 if number == 0 else 12)


def _fit(draw: ImageDraw.ImageDraw, lines: Sequence[str], width: int) -> list[str]:
    """Return the lines of a caption, those wider than `width` pixels shortened."""
    return [shorten(draw, line, width, _caption_font(number)) for number, line in enumerate(lines)]
