"""Reads the reference figures of CenterFusion."""

import zlib

import numpy as np
import torch
import torch.nn.functional as F

from shared_files import shared


def golden(name):
    """Return the arrays of a file of reference figures, or skip the test."""
    return np.load(shared(f"golden/centerfusion/{name}.npz"), allow_pickle=False)


def group(figures, prefix):
    """Return {name: tensor} of the arrays below a prefix."""
    found = {}
    for name in figures:
        if name.startswith(f"{prefix}/"):
            array = figures[name]
            found[name[len(prefix) + 1 :]] = torch.from_numpy(array) if array.dtype.kind in "fiub" else array
    return found


def assert_close(actual, expected, tolerance=1e-5, name=""):
    """Compare with the tolerance of the reference figures: relative to the largest value of the array."""
    actual = np.asarray(torch.as_tensor(actual).detach(), dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape, (name, actual.shape, expected.shape)
    if expected.size:
        error, bound = np.abs(actual - expected).max(), tolerance * np.abs(expected).max()
        assert error <= bound, (name, error, bound)


def _generator(name):
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


@torch.no_grad()
def fill_weights(model):
    """Give every entry of the state dict the reference networks' value."""
    for name, value in model.state_dict().items():
        drawn = torch.randn(value.shape, generator=_generator(name))
        if not value.is_floating_point():
            value.zero_()
        elif name.endswith("running_var"):
            value.copy_(1 + 0.1 * drawn.abs())
        elif name.endswith("running_mean"):
            value.copy_(0.1 * drawn)
        elif value.dim() >= 2:
            value.copy_(drawn * (2 / value[0].numel()) ** 0.5)
        elif name.endswith("weight"):
            value.copy_(0.6 + 0.06 * drawn)
        else:
            value.copy_(0.1 * drawn)
    for name, bias in {"dep.2": [-3], "dep_sec.6": [-3], "wh.2": [6, 5], "dim.2": [1.6, 1.9, 4.2]}.items():
        if f"{name}.bias" in model.state_dict():
            model.get_parameter(f"{name}.bias").copy_(torch.tensor(bias))


def images(batch, height, width):
    """Return the reference images, whose output maps are `height` x `width`."""
    noise = torch.rand(batch, 3, height // 4, width // 4, generator=_generator("images")) * 4 - 2
    return F.interpolate(noise, size=(4 * height, 4 * width), mode="bilinear", align_corners=False)
