"""Operations on PIL images, by name and with one strength, of which augmentation policies are made."""

from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageOps

GREY = (128, 128, 128)

Operation = Callable[[Image.Image], Image.Image]


def rotated(degrees: float, resample: Image.Resampling) -> Operation:
    """Return a rotation about the centre, counter-clockwise; the corners become grey."""
    return lambda image: image.rotate(degrees, resample=resample, fillcolor=GREY)


def warped(matrix: tuple[float, ...], resample: Image.Resampling) -> Operation:
    """Return an affine map, given as Pillow wants it: from each pixel of the result to its source."""
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=GREY)


def coloured(factor: float) -> Operation:
    """Return a change of saturation; 0 is grey, 1 the image itself."""
    return lambda image: ImageEnhance.Color(image).enhance(factor)


def contrasted(factor: float) -> Operation:
    """Return a change of contrast; 0 is one grey, 1 the image itself."""
    return lambda image: ImageEnhance.Contrast(image).enhance(factor)


def sharpened(factor: float) -> Operation:
    """Return a change of sharpness; 0 is smooth, 1 the image itself."""
    return lambda image: ImageEnhance.Sharpness(image).enhance(factor)


def solarized(threshold: float) -> Operation:
    """Return an inversion of all values from `threshold`, 0..256, on."""
    return lambda image: ImageOps.solarize(image, int(min(threshold, 256)))


def posterized(bits: float) -> Operation:
    """Return a reduction of each value to `bits`, 1..8."""
    return lambda image: ImageOps.posterize(image, max(1, min(8, int(bits))))
