"""The two kinds of images that transforms take: PIL images in RGB, and uint8 tensors (3, H, W)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

Size = Sequence[int]
AnyImage = Image.Image | torch.Tensor


def size_of(image: Any) -> tuple[int, int]:
    """Return (height, width) of a PIL image or a tensor (..., H, W).

    Raises:
        TypeError: it is neither.
    """
    if isinstance(image, torch.Tensor):
        shape = image.shape
        return shape[-2], shape[-1]
    if isinstance(image, Image.Image):
        return image.height, image.width
    raise TypeError(f"expected a PIL image or a tensor (..., H, W), got {type(image).__name__}")


def through_pil(image: AnyImage, function: Callable[[Image.Image], Image.Image]) -> AnyImage:
    """Return ``function(image)`` of a PIL image; of a uint8 tensor (3, H, W) the same pixels as a tensor."""
    if not isinstance(image, torch.Tensor):
        return function(image)
    return channels_first(function(Image.fromarray(image.permute(1, 2, 0).numpy())))


def channels_first(image: Image.Image) -> torch.Tensor:
    """Return a PIL image as a uint8 tensor (3, H, W), RGB, with memory of its own."""
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
