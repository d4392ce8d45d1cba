from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from steploop.projects.reid import visualization
from steploop.projects.reid.data import ReidItem
from steploop.projects.reid.evaluation import Retrieval, evaluate_retrieval
from steploop.projects.reid.visualization import RankedImage, RankedQuery, draw_rank_list, visualize_ranking

# Measures of the picture, in pixels; a tile's are those of images with the proportions 1:2.
WIDTH, HEIGHT, HEADER, MARGIN = 87, 174, 78, 28
FIRST, STEP, ROW = MARGIN + WIDTH + 34, WIDTH + 12, HEIGHT + 36 + 22
GREEN, RED, QUERY, BLUE = (ImageColor.getrgb(colour) for colour in ("#2f9e5f", "#d9463f", "#3b4252", "#4c7fd1"))


@pytest.fixture
def paint(tmp_path):
    def make(colour, size=(32, 64), name=None):
        path = tmp_path / f"{name or colour}.png"
        Image.new("RGB", size, colour).save(path)
        return str(path)

    return make


def retrieval_of(query, gallery, metric="euclidean"):
    """Return a retrieval of (item, place on a line) pairs."""
    (query, q), (gallery, g) = (zip(*pairs) for pairs in (query, gallery))
    q, g = (torch.tensor(places, dtype=torch.float32)[:, None] for places in (q, g))
    labels = [[getattr(item, name) for item in items] for name in ("pid", "camid") for items in (query, gallery)]
    result = evaluate_retrieval(q, g, *labels, metric=metric)
    return Retrieval(list(query), list(gallery), q, g, metric, result)


@pytest.fixture
def retrieval(paint):
    """A query whose ranking is: wrong, right, wrong; one image of its own camera is nearer than all of them."""
    query = [(ReidItem(paint("white"), 1, 0), 0.0)]
    gallery = [
        (ReidItem(paint("yellow"), 2, 1), 3.0),
        (ReidItem(paint("purple"), 1, 0), 0.5),
        (ReidItem(paint("blue"), 1, 1), 2.0),
        (ReidItem(paint("cyan"), 2, 0), 1.0),
    ]
    return retrieval_of(query, gallery)


def tiles(picture, count, columns):
    """Return the colours of (frame, middle) of each tile of each row, the query first."""
    lefts = [MARGIN, *(FIRST + place * STEP for place in range(columns))]
    middles = [HEADER + row * ROW + HEIGHT // 2 for row in range(count)]
    return [[(_pixel(picture, x + 2, y), _pixel(picture, x + WIDTH // 2, y)) for x in lefts] for y in middles]


def _pixel(picture, x, y):
    return tuple(int(value) for value in picture[:, y, x])


def test_frames_tell_hits_from_misses(retrieval, tmp_path):
    picture = visualize_ranking(retrieval, tmp_path / "ranks.png")
    assert tiles(picture, 1, 3) == [
        [
            (QUERY, ImageColor.getrgb("white")),
            (RED, ImageColor.getrgb("cyan")),
            (GREEN, ImageColor.getrgb("blue")),
            (RED, ImageColor.getrgb("yellow")),
        ]
    ]
    # The image of the query's own identity and camera is nowhere.
    assert not (picture == np.array(ImageColor.getrgb("purple"))[:, None, None]).all(axis=0).any()


def test_the_file_is_the_returned_picture(retrieval, tmp_path):
    picture = visualize_ranking(retrieval, str(tmp_path / "ranks.png"))
    assert (picture.dtype, picture.shape[0]) == (np.uint8, 3)
    with Image.open(tmp_path / "ranks.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert (np.asarray(image).transpose(2, 0, 1) == picture).all()


def test_the_same_retrieval_gives_the_same_bytes(retrieval, tmp_path):
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    for path in (first, second):
        visualize_ranking(retrieval, path)
    assert first.read_bytes() == second.read_bytes()


def test_at_equal_distance_a_wrong_image_comes_first(paint, tmp_path):
    query = [(ReidItem(paint("white"), 1, 0), 0.0)]
    gallery = [(ReidItem(paint(colour), pid, 1), 1.0) for colour, pid in [("blue", 1), ("cyan", 2), ("yellow", 0)]]
    picture = visualize_ranking(retrieval_of(query, gallery), tmp_path / "ranks.png")
    assert [frame for frame, _ in tiles(picture, 1, 3)[0]] == [QUERY, RED, RED, GREEN]


@pytest.fixture
def many(paint):
    """Queries 0 to 4, of which query n has n images between itself and its match; query 5 has no match."""
    query = [(ReidItem(paint((40 * n, 0, 0), name=f"q{n}"), 100 + n, 0), 1000.0 * n) for n in range(6)]
    gallery = [(ReidItem(paint((0, 40 * n, 0), name=f"g{n}"), 100 + n, 1), 1000.0 * n + 90) for n in range(5)]
    other = paint("gray")
    gallery += [(ReidItem(other, 0, 1), 1000.0 * n + place) for n in range(6) for place in range(n)]
    return retrieval_of(query, gallery)


@pytest.mark.parametrize(
    ("num_queries", "expected"), [(1, [4]), (2, [4, 0]), (3, [4, 2, 0]), (5, [4, 3, 2, 1, 0]), (60, [4, 3, 2, 1, 0])]
)
def test_rows_go_from_the_worst_to_the_best(many, tmp_path, num_queries, expected):
    picture = visualize_ranking(many, tmp_path / "ranks.png", num_queries=num_queries, top=6)
    rows = tiles(picture, len(expected), 6)
    assert [row[0][1] for row in rows] == [(40 * n, 0, 0) for n in expected]
    for n, row in zip(expected, rows):
        assert [frame for frame, _ in row[1:]] == [GREEN if place == n else RED for place in range(6)]
    assert picture.shape == (3, HEADER + len(expected) * ROW - 22 + MARGIN, FIRST + 6 * STEP - 12 + MARGIN)


def test_a_row_holds_ten_images_or_all_there_are(many, retrieval, tmp_path):
    ten = visualize_ranking(many, tmp_path / "ten.png", num_queries=1)
    assert ten.shape[2] == FIRST + 10 * STEP - 12 + MARGIN
    three = visualize_ranking(retrieval, tmp_path / "three.png")
    assert three.shape[2] == 560 + 2 * MARGIN  # room for the heading


@pytest.mark.parametrize("options", [{"num_queries": 0}, {"top": 0}, {"num_queries": -1}])
def test_nothing_to_draw_is_an_error(retrieval, tmp_path, options):
    with pytest.raises(ValueError, match="expected at least one query and one image"):
        visualize_ranking(retrieval, tmp_path / "ranks.png", **options)
    with pytest.raises(ValueError, match="no query to draw"):
        draw_rank_list([], title="none")


@pytest.mark.parametrize("gone", ["white", "blue"])
def test_an_image_that_has_gone_is_named(retrieval, tmp_path, gone):
    (tmp_path / f"{gone}.png").unlink()
    with pytest.raises(FileNotFoundError, match=f"{gone}.png does not exist"):
        visualize_ranking(retrieval, tmp_path / "ranks.png")
    assert not list(tmp_path.glob("*ranks*"))


def test_an_older_picture_stays_if_a_new_one_fails(retrieval, tmp_path, monkeypatch):
    path = tmp_path / "ranks.png"
    visualize_ranking(retrieval, path)
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        visualize_ranking(replace(retrieval, metric="cosine"), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.glob("*ranks*")] == ["ranks.png"]


def test_images_keep_their_proportions(paint):
    wide = RankedImage(paint("blue", (64, 16), "wide"), hit=True, camid=0, distance=0.1)
    image = draw_rank_list([RankedQuery(paint("white"), "who", [wide])], title="title")
    picture = np.asarray(image).transpose(2, 0, 1)
    x = FIRST + WIDTH // 2
    blue = (picture[:, :, x] == np.array([0, 0, 255])[:, None]).all(axis=0)
    assert blue.sum() == pytest.approx((WIDTH - 10) * 16 / 64, abs=1)
    assert _pixel(picture, x, HEADER + HEIGHT // 2) == (0, 0, 255)
    assert _pixel(picture, x, HEADER + 20) == ImageColor.getrgb("#eceef2")


def test_a_query_without_a_ranking_is_drawn_alone(paint):
    rows = [RankedQuery(paint("white"), "alone", []), RankedQuery(paint("cyan"), "alone", [])]
    image = draw_rank_list(rows, title="t")
    assert [row[0] for row in tiles(np.asarray(image).transpose(2, 0, 1), 2, 0)] == [
        (QUERY, (255, 255, 255)),
        (QUERY, (0, 255, 255)),
    ]


def test_captions_tell_camera_distance_and_precision(retrieval, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(visualization, "_draw_caption", lambda draw, x, y, lines, colour: drawn.append(lines))
    visualize_ranking(retrieval, tmp_path / "ranks.png")
    assert drawn == [["id 1 · cam 1", "AP 50.0%"], ["1", "cam 1 · 1"], ["2", "cam 2 · 4"], ["3", "cam 2 · 9"]]


def test_where_nobody_knows_the_identities_frames_are_blue_and_files_are_named(paint, monkeypatch):
    drawn = []
    monkeypatch.setattr(visualization, "_draw_caption", lambda draw, x, y, lines, colour: drawn.append(lines))
    long = paint("blue", name="a_name_that_is_too_long_for_a_tile")
    ranking = [RankedImage(path, None, None, distance) for path, distance in ((long, 0.1234), (paint("cyan"), 0.5))]
    image = draw_rank_list([RankedQuery(paint("white"), "query", ranking)], title="t" * 500)
    assert [frame for frame, _ in tiles(np.asarray(image).transpose(2, 0, 1), 1, 2)[0]] == [QUERY, BLUE, BLUE]
    assert drawn[0] == ["query"]
    assert [lines[0] for lines in drawn[1:]] == ["1 · 0.123", "2 · 0.500"]
    name = drawn[1][1]
    assert name.startswith("a_na") and name.endswith(".png") and "…" in name and len(name) < 20
    assert drawn[2][1] == "cyan.png"
