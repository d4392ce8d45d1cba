"""From an image network to a clip network: 2D weights repeated over time."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .resnet3d import ResNet3d
from .slowfast import ResNet3dSlowFast

logger = logging.getLogger(__name__)


def inflate_2d(backbone: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Load an ImageNet ResNet, in torchvision's names, into SlowOnly or into both pathways of SlowFast.

    A kernel (out, in, h, w) is repeated along time and divided by the number of repetitions, so that a clip of equal
    frames gives what the frame gives (I3D, arXiv:1705.07750). Where a lateral adds input channels these get zeros,
    behind. Laterals keep their initial weights, and so does a pathway of other channels than the file's.

    Args:
        backbone: changed in place.
        weights: name to tensor; "fc.*" is left out.

    Returns:
        The names of the file that were not used.

    Raises:
        ValueError: nothing fits.
    """
    paths = [backbone.slow_path, backbone.fast_path] if isinstance(backbone, ResNet3dSlowFast) else [backbone]
    used: set[str] = set()
    for path in paths:
        assert isinstance(path, ResNet3d)
        used |= _inflate(path, weights)
    if not used:
        raise ValueError(
            f"nothing in the file fits: it has {', '.join(list(weights)[:3])}, ...; expected conv1.weight, ..."
        )
    left = [name for name in weights if name not in used]
    logger.info("Inflated %d of %d entries of a 2D network; left out: %s", len(used), len(weights), ", ".join(left))
    return left


def name_2d(name: str) -> str:
    """Return torchvision's name of an entry of a `ResNet3d`."""
    module, kind = name.rsplit(".", 1)
    parts = module.split(".")
    wrapper, is_conv = parts[-2], parts[-1] == "conv"
    if wrapper == "downsample":
        parts[-1] = "0" if is_conv else "1"
        return ".".join([*parts, kind])
    layer = wrapper if is_conv else wrapper.replace("conv", "bn")
    return ".".join([*parts[:-2], layer, kind])


@torch.no_grad()
def _inflate(path: ResNet3d, weights: Mapping[str, Tensor]) -> set[str]:
    used = set()
    for name, own in path.state_dict().items():
        if "_lateral." in name:
            continue
        source = name_2d(name)
        value = weights.get(source)
        if value is None:
            continue
        if own.ndim == 5:
            value = value[:, :, None].expand(-1, -1, own.shape[2], -1, -1) / own.shape[2]
            missing = own.shape[1] - value.shape[1]
            if missing > 0 and value.shape[0] == own.shape[0]:
                zeros = value.new_zeros(value.shape[0], missing, *value.shape[2:])
                value = torch.cat((value, zeros), dim=1)
        if value.shape != own.shape:
            continue
        own.copy_(value)
        used.add(source)
    return used
