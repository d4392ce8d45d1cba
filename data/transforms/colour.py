"""Changes the colours of an image; boxes and points stay where they are."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance

from .base import Transform
from .geometry import PixelGeometry
from .images import AnyImage, Size, through_pil

_Step = Callable[[Image.Image, float], Image.Image]


class ColorJitter(Transform):
    """Changes brightness, contrast, saturation and hue, in random order; all frames of a clip alike.

    Args:
        brightness, contrast, saturation: factors are drawn from 1 - x to 1 + x, never below 0; 0 changes nothing.
        hue: shifts are drawn from -x to x of the colour circle, 0 <= x <= 0.5.

    Raises:
        ValueError: one is out of range.
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        if min(brightness, contrast, saturation) < 0 or not 0 <= hue <= 0.5:
            raise ValueError(
                "expected brightness, contrast and saturation >= 0 and 0 <= hue <= 0.5, got "
                f"{brightness}, {contrast}, {saturation} and {hue}"
            )
        spans: list[tuple[_Step, float, float]] = [
            (_brightness, max(0.0, 1 - brightness), 1 + brightness),
            (_contrast, max(0.0, 1 - contrast), 1 + contrast),
            (_saturation, max(0.0, 1 - saturation), 1 + saturation),
            (_hue, -hue, hue),
        ]
        self._spans = [span for span in spans if span[1] < span[2]]

    def draw(self, size: Size, rng: np.random.Generator) -> PixelGeometry:
        """Draw an order and the amounts."""
        order = rng.permutation(len(self._spans))
        steps = [(change, rng.uniform(low, high)) for change, low, high in (self._spans[place] for place in order)]

        def change_all(image: Image.Image) -> Image.Image:
            for change, amount in steps:
                image = change(image, amount)
            return image

        def change_image(image: AnyImage) -> AnyImage:
            return through_pil(image, change_all)

        return PixelGeometry(size, change_image)


def _brightness(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _contrast(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _saturation(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


def _hue(image: Image.Image, share: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(round(share * 255) % 256)  # modulo 256: the circle is closed
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
