"""Normalisation layers by name."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics and affine parameters never change.

    It is a `BatchNorm2d` that stays in eval mode and gets no gradient. Its checkpoint entries are those of "BN", so
    each can load the other's weights.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenBatchNorm2d":
        """Stay in eval mode, whatever `mode` is."""
        super().train(False)
        return self


class IBN(nn.Module):
    """Instance normalisation of the first half of the channels, `norm` of the others (IBN-a, arXiv:1807.09441).

    Input and output are (B, C, H, W). The children are named ``IN`` and ``BN``, as in the published weights.
    """

    def __init__(self, num_features: int, norm: str = "BN") -> None:
        super().__init__()
        half = num_features // 2
        self.split = [half, num_features - half]
        self.IN = nn.InstanceNorm2d(half, affine=True)
        self.BN = get_norm(norm, num_features - half)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W)."""
        instance, batch = x.split(self.split, dim=1)
        return torch.cat((self.IN(instance), self.BN(batch)), dim=1)


def _group_norm(channels: int) -> nn.GroupNorm:
    # 32 groups as published (arXiv:1803.08494); narrower networks get the largest power of two that divides.
    return nn.GroupNorm(math.gcd(32, channels), channels)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "FrozenBN": FrozenBatchNorm2d,
    "GN": _group_norm,
    "IBN": IBN,
}


def get_norm(norm: str, channels: int) -> nn.Module:
    """Return a new normalisation layer for (B, channels, H, W).

    Args:
        norm: "BN", "SyncBN" (statistics over all processes; equal to "BN" with one), "FrozenBN", "GN" or "IBN".
        channels: number of channels.

    Raises:
        ValueError: no normalisation has that name.
    """
    if norm not in _NORMS:
        raise ValueError(f"unknown normalisation {norm!r}: expected one of {', '.join(_NORMS)}")
    return _NORMS[norm](channels)
