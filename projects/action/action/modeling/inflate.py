"""From an image network to a clip network: 2D weights repeated over time."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_PATHS = ("slow_path.", "fast_path.")


def inflate_2d(state: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of an ImageNet ResNet, in torchvision's names, for SlowOnly or both pathways of SlowFast.

    A kernel (out, in, h, w) is repeated along time and divided by the number of repetitions, so that a clip of equal
    frames gives what the frame gives (I3D, arXiv:1705.07750). Where a lateral adds input channels these get zeros,
    behind. Laterals are not in the result, nor is a pathway of other channels than the file's.

    Args:
        state: of the 2D network; entries of other names, such as "fc.weight", are kept as they are.
        expected: name to tensor of the backbone.
    """
    result = dict(state)
    for name, own in expected.items():
        value = state.get(name_2d(name))
        if not isinstance(value, Tensor) or "_lateral." in name:
            continue
        value = _inflated(value, own) if own.ndim == 5 else value
        if value.shape == own.shape:
            result[name] = value
            result.pop(name_2d(name), None)
    return result


def name_2d(name: str) -> str:
    """Return torchvision's name of an entry of a `ResNet3d`, with or without the name of a pathway before it."""
    for path in _PATHS:
        name = name.removeprefix(path)
    parts = name.split(".")
    if len(parts) < 3:
        return name
    wrapper, is_conv = parts[-3], parts[-2] == "conv"
    if wrapper == "downsample":
        parts[-2] = "0" if is_conv else "1"
        return ".".join(parts)
    layer = wrapper if is_conv else wrapper.replace("conv", "bn")
    return ".".join([*parts[:-3], layer, parts[-1]])


def _inflated(value: Tensor, own: Tensor) -> Tensor:
    if value.ndim != 4:
        return value
    times = own.shape[2]
    value = value[:, :, None].expand(-1, -1, times, -1, -1) / times
    missing = own.shape[1] - value.shape[1]
    if missing > 0 and value.shape[0] == own.shape[0]:
        value = torch.cat((value, value.new_zeros(value.shape[0], missing, *value.shape[2:])), dim=1)
    return value
