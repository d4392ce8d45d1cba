"""PIL's operations on tensors."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from steploop.data import AnyImage


def through_pil(image: AnyImage, function: Callable[[Image.Image], Image.Image]) -> AnyImage:
    """Return ``function(image)``; of a uint8 tensor (3, H, W) a tensor."""
    if not isinstance(image, torch.Tensor):
        return function(image)
    changed = np.asarray(function(Image.fromarray(image.permute(1, 2, 0).numpy())))
    return torch.from_numpy(np.array(changed.transpose(2, 0, 1), order="C"))
