import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from steploop.data import draw_boxes
from steploop.data.pictures.draw import colour_of, draw_legend, draw_tile, font, shorten, tile_size

GREY = (90, 90, 90)


@pytest.fixture
def canvas():
    return Image.new("RGB", (200, 120), GREY)


def test_a_tile_holds_its_image_in_a_frame(canvas):
    draw_tile(canvas, (10, 20), (60, 80), Image.new("RGB", (10, 10), "red"), "#0000ff", frame=4, radius=0)
    assert canvas.getpixel((10, 20)) == (0, 0, 255) and canvas.getpixel((69, 99)) == (0, 0, 255)
    assert canvas.getpixel((9, 20)) == canvas.getpixel((70, 99)) == GREY
    assert canvas.getpixel((40, 60)) == (255, 0, 0)  # a square, 52 pixels wide, in the middle
    assert canvas.getpixel((40, 27)) == (0xEC, 0xEE, 0xF2)  # nothing beside it
    draw_tile(canvas, (100, 20), (60, 80), Image.new("RGB", (10, 10), "red"), "#0000ff")
    assert canvas.getpixel((100, 20)) == GREY  # round


def test_tiles_have_the_typical_proportions():
    assert tile_size([(64, 128), (64, 128), (500, 10)], 5000) == (50, 100)
    assert tile_size([(1, 100)], 1000) == (20, 50)


def test_long_names_lose_their_middle(canvas):
    draw = ImageDraw.Draw(canvas)
    short = shorten(draw, "a very long name of a file.jpg", 80, font(13))
    assert draw.textlength(short, font=font(13)) <= 80 and short[0] == "a" and short.endswith(".jpg") and "…" in short
    assert shorten(draw, "short", 80, font(13)) == "short"


def test_a_legend_goes_from_right_to_left(canvas):
    left = draw_legend(ImageDraw.Draw(canvas), 190, 10, [("gallery", "#ff0000"), ("query", "#00ff00")])
    assert 0 < left < 120
    pixels = np.asarray(canvas)
    red, green = (np.flatnonzero((pixels == colour).all(-1).any(0)) for colour in ((255, 0, 0), (0, 255, 0)))
    assert left < green.max() < red.min()


def test_boxes_are_drawn_with_the_best_on_top(canvas):
    boxes = torch.tensor([[20.0, 40, 80, 100], [20, 40, 80, 100], [-50, 30, 300, 110]])
    drawn = draw_boxes(canvas, boxes, labels=[0, 1, 3], scores=[0.9, 0.5, 0.2])
    colours = {label: Image.new("RGB", (1, 1), colour_of(label)).getpixel((0, 0)) for label in range(4)}
    assert drawn.getpixel((20, 70)) == colours[0] and drawn.getpixel((100, 30)) == colours[3]
    assert drawn.getpixel((50, 70)) == GREY and canvas.getpixel((20, 70)) == GREY
    named = draw_boxes(canvas, boxes[:1].numpy(), labels=[1], names=["cat", "dog"])
    tag = np.asarray(named)[24:40, 20:60]
    assert (tag == colours[1]).all(-1).any() and (tag > 230).all(-1).any()
    # There is no room above: the tag is inside.
    top = draw_boxes(canvas, np.array([[5.0, 0, 60, 50]]), names=["box"], colours=["#010203"])
    assert top.getpixel((7, 1)) == (1, 2, 3)
    assert draw_boxes(canvas, torch.zeros(0, 4)).tobytes() == canvas.tobytes()


def test_lists_of_another_length_are_errors(canvas):
    with pytest.raises(ValueError, match=r"boxes \(N, 4\).*\(2, 5\)"):
        draw_boxes(canvas, torch.zeros(2, 5))
    with pytest.raises(ValueError, match="scores for each of the 2 boxes, got 1"):
        draw_boxes(canvas, torch.zeros(2, 4), scores=[1.0])
    with pytest.raises(ValueError, match="names for each of the 2 boxes, got 1"):
        draw_boxes(canvas, torch.zeros(2, 4), names=["a"])
