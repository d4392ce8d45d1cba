"""AutoAugment's policy for ImageNet (arXiv:1805.09501, table 9)."""

import numpy as np
from PIL import Image, ImageOps

from steploop.data import AnyImage, Geometry, NoGeometry, PixelGeometry, Size, Transform

from .operations import (
    Operation,
    coloured,
    contrasted,
    posterized,
    rotated,
    sharpened,
    solarized,
    warped,
)
from .through_pil import through_pil

_Step = tuple[str, float, float]
# Operation, probability and level 0..10, twice.
_POLICIES: tuple[tuple[_Step, _Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    # These five are in the published list twice.
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


class AutoAugment(Transform):
    """With probability `p`, one of the 25 pairs of operations, each of them with a probability of its own.

    Takes PIL images and uint8 tensors (3, H, W).
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"expected a probability in 0..1, got {p}")
        self.p = p

    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Draw a pair, and which of its operations take place."""
        if rng.random() >= self.p:
            return NoGeometry(size)
        steps = [
            _operation(name, level, rng)
            for name, probability, level in _POLICIES[int(rng.integers(len(_POLICIES)))]
            if rng.random() < probability
        ]

        def change(image: Image.Image) -> Image.Image:
            for step in steps:
                image = step(image)
            return image

        def change_image(image: AnyImage) -> AnyImage:
            return through_pil(image, change)

        return PixelGeometry(size, change_image)


def _operation(name: str, level: float, rng: np.random.Generator) -> Operation:
    sign = 1 if rng.random() < 0.5 else -1
    resample = _FILTERS[int(rng.integers(len(_FILTERS)))]
    enhancement = 1.8 * level / 10 + 0.1
    operations: dict[str, Operation] = {
        "rotate": rotated(sign * 3 * level, resample),
        "shear_x": warped((1, sign * 0.03 * level, 0, 0, 1, 0), resample),
        "color": coloured(enhancement),
        "contrast": contrasted(enhancement),
        "sharpness": sharpened(enhancement),
        "solarize": solarized(25.6 * level),
        "posterize": posterized(4 + 0.4 * level),
        "invert": ImageOps.invert,
        "equalize": ImageOps.equalize,
        "autocontrast": ImageOps.autocontrast,
    }
    return operations[name]
