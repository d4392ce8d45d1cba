import numpy as np
import pytest
from PIL import Image

from steploop.data import read_image


def test_grey_and_transparent_images_become_rgb(tmp_path):
    for mode, name in (("L", "a.jpg"), ("RGBA", "b.png"), ("P", "c.png"), ("1", "d.png")):
        Image.new(mode, (5, 7)).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert (image.mode, image.size) == ("RGB", (5, 7))


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (5, 7)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").size == (7, 5)


def test_every_error_names_the_file(tmp_path, monkeypatch):
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30, 3), dtype=np.uint8)).save(good)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:-500])
    (tmp_path / "text.jpg").write_text("no image")
    for name, message in (
        ("empty.png", "0 bytes"),
        ("cut.png", "cannot be read"),
        ("text.jpg", "is none of JPEG"),
        (".", "a folder, a pipe or a device"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read_image(tmp_path / name)
        assert str(tmp_path) in str(error.value)
    with pytest.raises(FileNotFoundError, match="gone.jpg"):
        read_image(tmp_path / "gone.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    with pytest.raises(ValueError, match="too large to decode safely"):
        read_image(good)
