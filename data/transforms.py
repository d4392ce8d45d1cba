"""Random transforms ``t(image, rng)`` of images: what is random in them comes from `rng` alone.

An image is a uint8 tensor of shape (3, H, W), or a PIL image in RGB: the pixels and the draws are the same, the tensor
is faster. Sizes are (height, width) in pixels.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn.functional import pad

from .resize import Size, ToTensor, check_size

Range = Sequence[float]
AnyImage = Image.Image | torch.Tensor


class Transform(Protocol):
    """Whatever makes an image of an image and a sample's random numbers."""

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Return the changed image; the given one stays as it is."""


class Compose:
    """Applies transforms one after another; they draw from one generator in turn."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Apply all."""
        for transform in self.transforms:
            image = transform(image, rng)
        return image


class RandomFlip:
    """Mirrors an image left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _check_probability(p)

    def __call__(self, image: AnyImage, rng: np.random.Generator) -> AnyImage:
        """Mirror, or not."""
        if rng.random() >= self.p:
            return image
        return image.flip(-1) if isinstance(image, torch.Tensor) else ImageOps.mirror(image)


class Pad:
    """Adds a border of `padding` >= 0 black pixels to each side of an image."""

    def __init__(self, padding: int) -> None:
        if padding < 0:
            raise ValueError(f"expected a padding >= 0 pixels, got {padding}")
        self.padding = padding

    def __call__(self, image: AnyImage, rng: np.random.Generator) -> AnyImage:
        """Add the border."""
        if isinstance(image, torch.Tensor):
            return pad(image, 4 * (self.padding,))
        return ImageOps.expand(image, self.padding, fill=0)


class RandomCrop:
    """Cuts a window of `size` (height, width) out of an image; every place is equally likely.

    Of a tensor it is a view.

    Raises:
        ValueError: when called with an image smaller than the window.
    """

    def __init__(self, size: Size) -> None:
        self.height, self.width = check_size(size)

    def __call__(self, image: AnyImage, rng: np.random.Generator) -> AnyImage:
        """Cut."""
        height, width = image.shape[1:] if isinstance(image, torch.Tensor) else (image.height, image.width)
        spare_x, spare_y = width - self.width, height - self.height
        if spare_x < 0 or spare_y < 0:
            raise ValueError(
                f"cannot cut {self.height} x {self.width} (height x width) out of {height} x {width}: "
                "resize or pad the image first"
            )
        left, top = int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1))
        right, bottom = left + self.width, top + self.height
        if isinstance(image, torch.Tensor):
            return image[:, top:bottom, left:right]
        return image.crop((left, top, right, bottom))


class RandomAffine:
    """Rotates, scales, shears and shifts an image about its centre, keeping its size.

    What comes into view from outside repeats the image's border: black wedges would tell the network what was done.

    Args:
        degrees: largest rotation either way, in degrees.
        translate: largest shift either way, as a share of the width and of the height.
        scale: (smallest, largest) factor, > 0.
        shear: largest horizontal shear either way, in degrees, < 90.
    """

    def __init__(
        self, degrees: float = 0.0, translate: float = 0.0, scale: Range = (1.0, 1.0), shear: float = 0.0
    ) -> None:
        smallest, largest = scale
        if not 0 < smallest <= largest:
            raise ValueError(f"expected a scale (smallest, largest) with 0 < smallest <= largest, got {tuple(scale)}")
        if min(degrees, translate, shear) < 0 or shear >= 90:
            raise ValueError(
                f"expected degrees, translate and shear >= 0 and shear < 90, got {degrees}, {translate} and {shear}"
            )
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, (smallest, largest), shear

    def __call__(self, image: AnyImage, rng: np.random.Generator) -> AnyImage:
        """Draw a transform and apply it."""
        if isinstance(image, torch.Tensor):
            return ToTensor()(self._apply(Image.fromarray(image.permute(1, 2, 0).numpy()), rng))
        return self._apply(image, rng)

    def _apply(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        factor = rng.uniform(*self.scale)
        slant = math.tan(math.radians(rng.uniform(-self.shear, self.shear)))
        side = np.array([image.width, image.height])
        shift = rng.uniform(-self.translate, self.translate, size=2) * side
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        # PIL wants the inverse: where each pixel of the result comes from.
        inverse = np.linalg.inv(factor * rotation @ np.array([[1.0, slant], [0.0, 1.0]]))
        return _warp(image, inverse, side / 2 - inverse @ (side / 2 + shift))


def _warp(image: Image.Image, matrix: np.ndarray, offset: np.ndarray) -> Image.Image:
    """Return the image whose point (x, y) is the given one's at matrix @ (x, y) + offset, its border repeated."""
    corners = np.array([[0, 0], [image.width, 0], [0, image.height], [image.width, image.height]])
    sources = corners @ matrix.T + offset
    overshoot = max(np.max(-sources), np.max(sources - corners[-1]), 0.0)
    margin = math.ceil(overshoot) + 1
    padded = Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    (a, b), (d, e) = matrix
    c, f = offset + margin
    return padded.transform(image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


class RandomErasing:
    """Fills a random rectangle of a uint8 tensor (C, H, W) with one colour (Zhong et al., arXiv:1708.04896).

    Args:
        p: probability that anything is erased.
        area: (smallest, largest) share of the image, in 0..1.
        aspect: (smallest, largest) height / width; drawn on a log scale, so that 1/a is as likely as a.
        value: the colour, 0..255: one number, or one for each channel, such as the data's mean.
    """

    # A rectangle may be too long for the image; the chance of so many in a row is negligible.
    _ATTEMPTS = 100

    def __init__(
        self,
        p: float = 0.5,
        area: Range = (0.02, 0.4),
        aspect: Range = (0.3, 1 / 0.3),
        value: float | Sequence[float] = 0.0,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"expected ranges of an area in 0..1 and of an aspect > 0, got {area} and {aspect}")
        self.p = _check_probability(p)
        self.area, self.aspect = area, aspect
        self.colour = torch.tensor(value, dtype=torch.float64).reshape(-1, 1, 1).round().clamp(0, 255).to(torch.uint8)

    def __call__(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Erase, or not."""
        if rng.random() >= self.p:
            return image
        _, height, width = image.shape
        for _ in range(self._ATTEMPTS):
            area = rng.uniform(self.area[0], self.area[1]) * height * width
            aspect = math.exp(rng.uniform(math.log(self.aspect[0]), math.log(self.aspect[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                erased = image.clone()
                erased[:, top : top + h, left : left + w] = self.colour
                return erased
        return image


class Seeded:
    """Makes a foreign transform ``t(image)`` a function of the sample.

    Foreign transforms draw from the global generators of random, numpy and torch (on the CPU). Those are seeded from
    the sample's generator for the call, and put back after it, also when it fails.
    """

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        self.transform = transform

    def __call__(self, image: Any, rng: np.random.Generator) -> Any:
        """Call the foreign transform."""
        saved = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
        seed = int(rng.integers(2**32))
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            return self.transform(image)
        finally:
            random.setstate(saved[0])
            np.random.set_state(saved[1])
            torch.default_generator.set_state(saved[2])


def _check_probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"expected a probability in 0..1, got {p}")
    return p
