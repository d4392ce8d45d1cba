"""Reference figures of detectors, and the weights and images that they were computed with."""

import math
import zlib

import numpy as np
import torch
from torch.nn import functional as F

from shared_files import shared

SIZE = (128, 160)
_GAINS = {"retina_cls": 0.7, "retina_reg": 0.1, "rpn_cls": 4.0, "rpn_reg": 0.03, "fc_cls": 4.0, "fc_reg": 1.0}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def figures(name):
    """Return the arrays of a file of golden/detection; skips the test where it is absent."""
    return np.load(shared(f"golden/detection/{name}.npz"))


def generator(text):
    return torch.Generator().manual_seed(zlib.crc32(text.encode()))


def recipe_weights(shapes, *, role=lambda name: name):
    """Return the recipe's state dict for `shapes` (name -> tensor); `role` gives the name that sets the gain."""
    return {name: _weight(name, value, role(name)) for name, value in shapes.items()}


def _weight(name, value, role):
    if not value.is_floating_point():
        return torch.zeros_like(value)
    drawn = torch.randn(value.shape, generator=generator(name))
    if name.endswith("running_var"):
        return 1 + 0.1 * drawn.abs()
    if name.endswith("running_mean"):
        return 0.1 * drawn
    if drawn.dim() >= 2:
        gain = next((gain for part, gain in _GAINS.items() if part in role), 2.0)
        return drawn * math.sqrt(gain / drawn[0].numel())
    if name.endswith("weight"):
        return 0.6 + 0.06 * drawn
    return 0.1 * drawn - 4 if "retina_cls" in role else 0.1 * drawn


def recipe_images(count=2, size=SIZE):
    """Return RGB images (count, 3, H, W) in 0..255."""
    height, width = size
    small = torch.rand(count, 3, height // 16, width // 16, generator=generator("images")) * 255
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False)


def close(ours, reference, tolerance=1e-4):
    """Assert that the largest difference is at most `tolerance` of the reference's largest value."""
    ours = np.asarray(ours.detach().double() if isinstance(ours, torch.Tensor) else ours, dtype=np.float64)
    reference = np.asarray(reference, dtype=np.float64)
    assert ours.shape == reference.shape
    if reference.size:
        assert np.abs(ours - reference).max() <= tolerance * np.abs(reference).max()
