"""AugMix: an image mixed with chains of small changes of it (arXiv:1912.02781)."""

import numpy as np
from PIL import Image, ImageOps

from steploop.data import AnyImage, Geometry, NoGeometry, PixelGeometry, Size, Transform

from .operations import Operation, posterized, rotated, solarized, warped
from .through_pil import through_pil

_CHAINS = 3
_ALPHA = 0.1
_NAMES = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)


class AugMix(Transform):
    """With probability `p`, ``(1 - m) * image + m * mix`` of three changes of the image, one operation each.

    The weights of the mix are of a Dirichlet, m of a beta distribution with 0.1. Takes PIL images and uint8 tensors
    (3, H, W).
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"expected a probability in 0..1, got {p}")
        self.p = p

    def draw(self, size: Size, rng: np.random.Generator) -> Geometry:
        """Draw the operations and their weights."""
        if rng.random() >= self.p:
            return NoGeometry(size)
        weights = rng.dirichlet([_ALPHA] * _CHAINS)
        share = rng.beta(_ALPHA, _ALPHA)
        steps = [_operation(_NAMES[int(rng.integers(len(_NAMES)))], size, rng) for _ in range(_CHAINS)]

        def change(image: Image.Image) -> Image.Image:
            pixels = np.asarray(image, dtype=np.float64)
            mix = sum(weight * np.asarray(step(image), dtype=np.float64) for weight, step in zip(weights, steps))
            mixed = (1 - share) * pixels + share * mix
            return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))

        def change_image(image: AnyImage) -> AnyImage:
            return through_pil(image, change)

        return PixelGeometry(size, change_image)


def _operation(name: str, size: Size, rng: np.random.Generator) -> Operation:
    strength = rng.uniform(0.1, 1.0) / 10
    signed = strength if rng.random() < 0.5 else -strength
    bilinear = Image.Resampling.BILINEAR
    height, width = size
    operations: dict[str, Operation] = {
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "posterize": posterized(4 - int(4 * strength)),
        "rotate": rotated(30 * signed, bilinear),
        "solarize": solarized(256 - int(256 * strength)),
        "shear_x": warped((1, 0.3 * signed, 0, 0, 1, 0), bilinear),
        "shear_y": warped((1, 0, 0, 0.3 * signed, 1, 0), bilinear),
        "translate_x": warped((1, 0, int(width / 3 * signed), 0, 1, 0), bilinear),
        "translate_y": warped((1, 0, 0, 0, 1, int(height / 3 * signed)), bilinear),
    }
    return operations[name]
