"""Reads an image file, or says what is wrong with it."""

import io
import stat
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

# More than 8 bits a channel: PIL would clip them to 255 without a word.
_DEEP_MODES = ("I", "F")
# PIL reads many more; for one of them (EPS) it runs a program on the file.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
# More than an image of PIL.Image.MAX_IMAGE_PIXELS has without compression.
_MAX_BYTES = 2**29


def read_image(path: str | Path) -> Image.Image:
    """Return the image as 8-bit RGB, turned upright by its EXIF orientation.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no image (JPEG, PNG, GIF, BMP, WebP, TIFF, PPM), damaged or cut short, empty, deeper
            than 8 bits, or so large that it looks like a decompression bomb (more than PIL.Image.MAX_IMAGE_PIXELS); if
            it is a folder, a pipe or a device.
        OSError: if the system cannot read it.
    """
    # Read before decoding, so that an OSError of the disk is not taken for a damaged image.
    try:
        data = _read_file(Path(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"image {path} does not exist: was the data set moved, or cut short?") from error
    if not data:
        raise ValueError(f"image {path} is empty (0 bytes): delete it, or copy it again")
    try:
        return _decode(data)
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


def _read_file(path: Path) -> bytes:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # a pipe may never end, or never begin
        raise ValueError(f"image {path} is no file, but a folder, a pipe or a device: remove it")
    if facts.st_size > _MAX_BYTES:
        raise ValueError(
            f"image {path} has {facts.st_size:,} bytes, more than the {_MAX_BYTES:,} that an image may have"
        )
    return path.read_bytes()


def _decode(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if 0 in image.size:
            raise ValueError(f"it has no pixels (size {image.size})")
        if image.mode.startswith(_DEEP_MODES):
            raise ValueError(f"its mode is {image.mode}, deeper than 8 bits; convert it to 8 bits")
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
