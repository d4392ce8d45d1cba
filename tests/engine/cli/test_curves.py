import numpy as np
import pytest
from PIL import Image

from steploop.engine.cli.curves import draw_curves, text_chart


def test_a_chart_of_text():
    assert text_chart([0.0, 1.0, 2.0], height=2) == "       2 |  #\n         | ##\n       0 +---"


def test_a_chart_of_nothing_but_zero():
    assert text_chart([0.0, 0.0], height=1) == "       0 |\n       0 +--"


def test_a_picture(tmp_path):
    draw_curves({"up": [0.0, 1.0], "flat": [0.5, 0.5]}, tmp_path / "new" / "x.png", size=(100, 80))
    with Image.open(tmp_path / "new" / "x.png") as image:
        assert (image.size, image.format) == ((100, 80), "PNG")
        pixels = np.asarray(image.convert("RGB"))
    blue = np.argwhere((pixels == (0, 0, 255)).all(axis=2) & (np.arange(80) > 28)[:, None])
    left, right = blue[blue[:, 1].argmin()], blue[blue[:, 1].argmax()]
    assert left == pytest.approx((49, 30), abs=2) and right == pytest.approx((31, 69), abs=2)
