"""Reads image files safely, with errors that name the file and the problem."""

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Modes with more than 8 bits per channel: PIL would clip their values to 255 without an error.
_DEEP_MODES = ("I", "F")
# PIL reads more formats, but for one of them (EPS) it runs an external program on the file.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
# More than an image of PIL.Image.MAX_IMAGE_PIXELS has without compression.
_MAX_BYTES = 2**29
_WHITE = (255, 255, 255, 255)


def read_image(path: str | Path) -> Image.Image:
    """Return the image as 8-bit RGB, rotated by its EXIF orientation.

    A transparent image is drawn on white, as viewers show it: transparent pixels have arbitrary colours. Grey, palette
    and CMYK images become RGB; of an animation, the first frame is read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no image (JPEG, PNG, GIF, BMP, WebP, TIFF, PPM), damaged or cut short, empty, deeper
            than 8 bits, or so large that it looks like a decompression bomb (more than PIL.Image.MAX_IMAGE_PIXELS); if
            it is a folder, a pipe or a device.
        OSError: if the system cannot read it.
    """
    # Read before decoding, so that an OSError of the disk is not reported as a damaged image.
    with _missing_file(path):
        data = _checked(Path(path)).read_bytes()
    if not data:
        raise ValueError(f"image {path} is empty (0 bytes): delete it, or copy it again")
    with _decoder_errors(path):
        return _decode(data)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the (width, height) of the image that `read_image` returns; only the file's header is read.

    Raises:
        FileNotFoundError, ValueError, OSError: as for `read_image`, if the problem is visible in the header.
    """
    with _missing_file(path), _checked(Path(path)).open("rb") as file, _decoder_errors(path):
        image = _open(file)
        is_turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return (image.height, image.width) if is_turned else image.size


@contextmanager
def _missing_file(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"image {path} does not exist: was the data set moved, or cut short?") from error


@contextmanager
def _decoder_errors(path: str | Path) -> Iterator[None]:
    """Convert any error of a decoder to a ValueError that names the file."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"image {path} is too large to decode safely: {error} Scale it down, or raise PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except UnidentifiedImageError as error:
        raise ValueError(f"image {path} is none of {', '.join(_FORMATS)}: delete it, or convert it") from error
    except Exception as error:  # PIL's decoders raise OSError, SyntaxError, ValueError, struct.error, IndexError, ...
        raise ValueError(
            f"image {path} cannot be read: {error or type(error).__name__}: delete it, or copy it again"
        ) from error


def _checked(path: Path) -> Path:
    """Return the path, after checking that it is a regular file and not too large for an image."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe may block without end
        raise ValueError(f"image {path} is no file, but a folder, a pipe or a device: remove it")
    if facts.st_size > _MAX_BYTES:
        raise ValueError(
            f"image {path} has {facts.st_size:,} bytes, more than the {_MAX_BYTES:,} that an image may have"
        )
    return path


def _decode(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = _open(io.BytesIO(data))
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        if image.mode == "RGB" and not image.has_transparency_data:
            return image
        if not image.has_transparency_data:
            return image.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image.convert("RGBA")).convert("RGB")


def _open(file: IO[bytes]) -> Image.Image:
    image = Image.open(file, formats=_FORMATS)
    if 0 in image.size:
        raise ValueError(f"it has no pixels (size {image.size})")
    if image.mode.startswith(_DEEP_MODES):
        raise ValueError(f"its mode is {image.mode}, deeper than 8 bits; convert it to 8 bits")
    return image
