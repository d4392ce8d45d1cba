"""Image files, and the names of images in the layout of Market-1501."""

import functools
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from steploop.data.pictures.reading import read_image
from steploop.projects.reid.data.market1501 import FOLDERS, read_market1501

from .harness import Kind
from .mutations import mutate_bytes, odd_text, pick

SIZE = (24, 16)
FORMATS = (
    ("JPEG", {"quality": 80}, "RGB"), ("JPEG", {"progressive": True}, "RGB"), ("JPEG", {}, "L"), ("JPEG", {}, "CMYK"),
    ("PNG", {}, "RGB"), ("PNG", {}, "RGBA"), ("PNG", {}, "P"), ("PNG", {}, "1"), ("PNG", {}, "LA"), ("GIF", {}, "P"),
    ("BMP", {}, "RGB"), ("WEBP", {}, "RGB"), ("WEBP", {"lossless": True}, "RGBA"), ("PPM", {}, "RGB"),
    ("TIFF", {"compression": "tiff_lzw"}, "RGB"), ("TIFF", {}, "L"), ("MPO", {}, "RGB"),
)  # fmt: skip
HEADERS = (
    *(struct.pack(">H", n) for n in (0, 1, 255, 2**15, 2**16 - 1)),
    *(struct.pack(order + "I", n) for n in (0, 9500, 2**16, 2**24, 2**31 - 1, 2**32 - 1) for order in "<>"),
    *(
        b"\xff\xd8",
        b"\xff\xd9",
        b"\xff\xc0",
        b"\xff\xe1",
        b"\xff\xda",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"acTL",
        b"zTXt",
        b"VP8X",
    ),
    *(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"P6 999999999 999999999 255\n",
        b"BM",
        b"\0" * 64,
    ),
)
_EXIF_TAGS = {0x0112: 6, 0x010F: "maker", 0x8298: "rights"}
NAMES = (
    *(
        "0002_c1s1_000451_03.jpg",
        "-1_c1.jpg",
        "0000_c2.png",
        "1_c2.JPEG",
        "._0002_c1s1.jpg",
        "Thumbs.db",
        "1_c0.jpg",
        "x.jpg",
    ),
    *(
        "-2_c1.jpg",
        "1_c.jpg",
        "1_c-1.jpg",
        "_c1.jpg",
        "1e9_c1.jpg",
        "1_c1",
        ".jpg",
        "\u0663_c\u0661.jpg",
        "\u00b2_c1.jpg",
    ),
    *("9" * 200 + "_c1.jpg", "1_c" + "9" * 200 + ".jpg", "9223372036854775807_c1.jpg", "9223372036854775808_c1.jpg"),
    *("1_c1" + "n" * 240 + ".jpg", "1_c1\udcff.jpg", "1_c1\n2_c2.jpg", "1_c1\u202egpj.jpg", "0002_C1.jpg", " 1_c1.jpg"),
)


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Return a small image in each format and mode, some with EXIF data."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    image, found = Image.fromarray(pixels), []
    exif = Image.Exif()
    exif.update(_EXIF_TAGS)
    for kind, options, mode in FORMATS:
        for extra in ({}, {"exif": exif}) if kind in ("JPEG", "PNG", "WEBP") else ({},):
            file = io.BytesIO()
            image.convert(mode).save(file, kind, **options, **extra)
            found.append(file.getvalue())
    return tuple(found)


def with_png_checksums(data: bytes) -> bytes:
    """Return a PNG file with the checksum of each of its chunks made right, so that a harm comes further."""
    fixed, at = bytearray(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        struct.pack_into(">I", fixed, at + 8 + length, zlib.crc32(data[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(fixed)


def prepare_image(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a harmed image file, or what is none at all."""
    path = folder / "image.jpg"
    if rng.random() < 0.08:
        _make_no_file(path, rng)
    else:
        data = mutate_bytes(pick(seeds(), rng), rng, HEADERS)
        path.write_bytes(with_png_checksums(data) if data.startswith(b"\x89PNG") and rng.random() < 0.8 else data)

    def read() -> None:
        try:
            image = read_image(path)
        except (OSError, ValueError) as error:
            assert str(path) in str(error), f"the error does not name the file: {error}"
            assert "object at 0x" not in str(error), f"the error names an object: {error}"
            raise
        assert image.mode == "RGB" and 0 < image.width * image.height <= (Image.MAX_IMAGE_PIXELS or 0)
        assert len(image.tobytes()) == image.width * image.height * 3

    return read


def _make_no_file(path: Path, rng: np.random.Generator) -> None:
    match rng.integers(6):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.touch()
        case _:
            path.symlink_to(pick(("missing", path.name, "/dev/null", "/"), rng))


def prepare_file_names(folder: Path, rng: np.random.Generator) -> Callable[[], object]:
    """Write a data set in which some of the names are odd."""
    tree = {name: [_image_name(rng) for _ in range(rng.integers(1, 5))] for name in FOLDERS}
    for name, files in tree.items():
        if rng.random() < 0.98:
            (folder / name).mkdir()
        for file in files:
            try:
                _place(folder / name / file, rng)
            except (OSError, ValueError):  # no name of a file here
                continue

    def read() -> None:
        try:
            subsets = read_market1501(folder)
        except (OSError, ValueError) as error:
            assert str(folder) in str(error), f"the error does not name the folder: {error}"
            raise
        for items in subsets:
            assert items
            assert [item.img_path for item in items] == sorted(item.img_path for item in items)
            assert all(os.path.lexists(item.img_path) for item in items)
            for item in items:
                assert not Path(item.img_path).is_dir() and Path(item.img_path).parent.name in FOLDERS
                assert 0 <= item.pid < 2**63 and 0 <= item.camid < 2**63

    return read


def _image_name(rng: np.random.Generator) -> str:
    if rng.random() < 0.7:
        return f"{rng.integers(1, 99):04d}_c{rng.integers(1, 7)}s1_{rng.integers(1000):06d}.jpg"
    name = pick(NAMES, rng)
    if rng.random() < 0.3:
        at = int(rng.integers(len(name) + 1))
        name = name[:at] + odd_text(rng) + name[at:]
    return name


def _place(path: Path, rng: np.random.Generator) -> None:
    if rng.random() < 0.9:
        path.touch()
    elif rng.random() < 0.5:
        path.mkdir()
        (path / "0001_c1.jpg").touch()
    else:
        os.mkfifo(path)


IMAGE = Kind("image", (ValueError, FileNotFoundError, OSError), prepare_image, weight=3)
FILE_NAMES = Kind("file names", (ValueError, FileNotFoundError), prepare_file_names)
