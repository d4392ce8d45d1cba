import os
import sys
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fuzzing import CORRECT, IMAGE, alarm, observe, tally
from steploop.data.pictures.reading import read_image

# PIL warns about EXIF data and about TIFF files that it reads all the same.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PNG, JPEG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF\0"
BEGINNINGS = (JPEG, PNG, b"GIF89a", b"BM", b"RIFF\xff\0\0\0WEBP", b"P6 ")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%BeginBinary: 1\nshowpage\n%%EOF\n"


def test_mutated_images(box):
    outcomes = tally(IMAGE, box, 500)
    assert outcomes[CORRECT] > 100 and outcomes["ValueError"] > 200


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=st.sampled_from((b"", *BEGINNINGS)), rest=st.binary(max_size=200))
def test_any_bytes(box, begin, rest):
    path = box.clear() / "x.jpg"
    path.write_bytes(begin + rest)
    observe(lambda: read_image(path), (ValueError,), box, repr(begin + rest))


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_not_waited_for(box, make):
    # A pipe hung, a device filled the memory, a folder gave an error that read_image does not document.
    make(box.clear() / "x.jpg")
    with alarm(20), pytest.raises(ValueError, match="x.jpg is no file"):
        read_image(box.run / "x.jpg")


def test_no_program_is_run_for_an_image(box, monkeypatch):
    # PIL runs Ghostscript on EPS files, whatever they are called.
    box.clear()
    programs = box.root / "programs"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {box.root}/ran\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    eps = sys.modules.get("PIL.EpsImagePlugin")
    if eps is not None:
        monkeypatch.setattr(eps, "gs_binary", None)
    path = box.run / "x.jpg"
    path.write_bytes(EPS)
    assert observe(lambda: read_image(path), (ValueError,), box) == "ValueError"


def test_the_limit_of_pixels_is_an_error(tmp_path, monkeypatch):
    Image.new("RGB", (30, 10)).save(tmp_path / "x.png")
    for limit in (299, 149):  # PIL warns up to twice its limit, and raises beyond
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(), pytest.raises(ValueError, match="too large to decode safely"):
            warnings.simplefilter("ignore")
            read_image(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert read_image(tmp_path / "x.png").size == (30, 10)


def test_what_is_no_image_is_told_plainly(tmp_path):
    (tmp_path / "x.jpg").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"x\.jpg is none of JPEG, PNG") as caught:
        read_image(tmp_path / "x.jpg")
    assert "BytesIO" not in str(caught.value)
