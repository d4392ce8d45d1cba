import numpy as np
import pytest
from PIL import Image

from steploop.data import image_size, read_image


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


def cut_out(hidden, mode):
    """Return a figure of one pixel on a transparent ground that hides a colour."""
    image = Image.new("RGBA", (8, 8), (*hidden, 0))
    image.putpixel((4, 4), (200, 60, 30, 255))
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([*hidden, 200, 60, 30])
        image.putpixel((4, 4), 1)
        image.info["transparency"] = 0
        return image
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_images_that_look_the_same_have_the_same_pixels(tmp_path, mode):
    seen = []
    for hidden in ((0, 0, 0), (240, 30, 10)):
        cut_out(hidden, mode).save(tmp_path / "x.png", **({"transparency": 0} if mode == "P" else {}))
        seen.append(read_image(tmp_path / "x.png"))
    assert seen[0].tobytes() == seen[1].tobytes()
    assert seen[0].getpixel((0, 0)) == (255, 255, 255)
    assert seen[0].getpixel((4, 4)) == ((200, 60, 30) if mode != "LA" else 3 * (98,))


def test_half_transparent_pixels_are_mixed_with_white_and_opaque_ones_stay(tmp_path):
    image = Image.new("RGBA", (2, 1), (100, 0, 0, 255))
    image.putpixel((1, 0), (55, 55, 55, 51))
    image.save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").getpixel((0, 0)) == (100, 0, 0)
    assert read_image(tmp_path / "x.png").getpixel((1, 0)) == (215, 215, 215)
    # A colour that stands for transparent.
    Image.new("RGB", (2, 1), (9, 8, 7)).save(tmp_path / "key.png", transparency=(9, 8, 7))
    assert read_image(tmp_path / "key.png").getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_and_deep_images(tmp_path):
    Image.new("CMYK", (2, 1), (0, 255, 255, 0)).save(tmp_path / "x.jpg")
    red, green, blue = read_image(tmp_path / "x.jpg").getpixel((0, 0))
    assert red > 240 and green < 15 and blue < 15
    Image.fromarray(np.full((2, 2), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match="deep.png cannot be read: its mode is I;16, deeper than 8 bits"):
            read(tmp_path / "deep.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_known_from_the_header(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (5, 7)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").size


def test_the_size_of_what_is_no_image(tmp_path):
    (tmp_path / "x.jpg").write_text("no image")
    with pytest.raises(ValueError, match="x.jpg is none of JPEG"):
        image_size(tmp_path / "x.jpg")
    with pytest.raises(FileNotFoundError, match="gone.jpg does not exist"):
        image_size(tmp_path / "gone.jpg")
