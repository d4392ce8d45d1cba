"""Global pooling by name: (B, C, H, W) becomes (B, C, 1, 1)."""

import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .precision import full_precision

logger = logging.getLogger(__name__)


class GlobalAvgPool(nn.AdaptiveAvgPool2d):
    """Mean over all positions."""

    def __init__(self) -> None:
        super().__init__(1)


class GlobalMaxPool(nn.AdaptiveMaxPool2d):
    """Largest value over all positions."""

    def __init__(self) -> None:
        super().__init__(1)


class AdaptiveAvgMaxPool(nn.Module):
    """Sum of the mean and the largest value over all positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x` (B, C, H, W) to (B, C, 1, 1)."""
        return F.adaptive_avg_pool2d(x, 1) + F.adaptive_max_pool2d(x, 1)


class GeneralizedMeanPooling(nn.Module):
    """Power mean over all positions, ``mean(max(x, eps) ** p) ** (1 / p)`` (GeM, arXiv:1711.02512).

    p = 1 is the mean and p -> infinity the maximum. It is computed in float32 also for half-precision inputs, because
    powers of small values would underflow.

    Args:
        norm: the exponent p, > 0.
        eps: inputs are clamped to at least this value, because the gradient is infinite at zero.
    """

    p: Tensor

    def __init__(self, norm: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        if norm <= 0:
            raise ValueError(f"the exponent of a generalised mean must be positive, got {norm}")
        self.eps = eps
        self._set_exponent(torch.tensor([float(norm)]))

    def _set_exponent(self, p: Tensor) -> None:
        self.register_buffer("p", p, persistent=False)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take a learned exponent too, from a file of a model that learned it: its features need it."""
        super()._load_from_state_dict(state_dict, prefix, *args)
        unexpected, key = args[3], f"{prefix}p"
        if key in unexpected and state_dict[key].shape == self.p.shape:
            unexpected.remove(key)
            with torch.no_grad():
                self.p.copy_(state_dict[key])
            logger.info("The exponent of the generalised mean is %.4g, from the file", self.p.item())

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x` (B, C, H, W) to (B, C, 1, 1)."""
        return _power_mean(x, self.p, self.eps).to(x.dtype)


class GeneralizedMeanPoolingP(GeneralizedMeanPooling):
    """`GeneralizedMeanPooling` whose exponent is learned, as the parameter ``p`` (1,)."""

    def _set_exponent(self, p: Tensor) -> None:
        self.p = nn.Parameter(p)


@full_precision
def _power_mean(x: Tensor, p: Tensor, eps: float) -> Tensor:
    return x.clamp(min=eps).pow(p).mean(dim=(2, 3), keepdim=True).pow(1.0 / p)


class ClipGlobalAvgPool(GlobalAvgPool):
    """Mean over all positions, clamped to 0..1."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x` (B, C, H, W) to (B, C, 1, 1)."""
        return super().forward(x).clamp(0, 1)


class FastGlobalAvgPool(nn.Module):
    """`GlobalAvgPool` by another route, for configs that name it."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool `x` (B, C, H, W) to (B, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=True)


class Identity(nn.Identity):
    """Nothing: for backbones whose output is (B, C, 1, 1) already."""


class Flatten(nn.Module):
    """All values of a map as channels: (B, C, H, W) becomes (B, C * H * W, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten `x` (B, C, H, W)."""
        return x.flatten(1)[:, :, None, None]


_POOLINGS: dict[str, type[nn.Module]] = {
    pooling.__name__: pooling
    for pooling in (
        GlobalAvgPool,
        GlobalMaxPool,
        AdaptiveAvgMaxPool,
        GeneralizedMeanPooling,
        GeneralizedMeanPoolingP,
        FastGlobalAvgPool,
        ClipGlobalAvgPool,
        Identity,
        Flatten,
    )
}


def build_pooling(name: str) -> nn.Module:
    """Return a new pooling layer, by the name of one of the classes above.

    Raises:
        ValueError: no pooling has that name.
    """
    if name not in _POOLINGS:
        raise ValueError(f"unknown pooling {name!r}: expected one of {', '.join(_POOLINGS)}")
    return _POOLINGS[name]()
