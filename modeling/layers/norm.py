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


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over each of `num_splits` equal parts of a batch (arXiv:1705.08741).

    In train mode the running statistics move by the mean of those of the parts. With one part it is "BN".

    Raises:
        ValueError: in train mode, a batch that does not split.
    """

    def __init__(self, num_features: int, num_splits: int = 1) -> None:
        super().__init__(num_features)
        self.num_splits = num_splits

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W)."""
        if not self.training or self.num_splits == 1:
            return super().forward(x)
        if len(x) % self.num_splits:
            raise ValueError(f"a batch of {len(x)} cannot be split into {self.num_splits} equal parts for GhostBN")
        parts = x.view(self.num_splits, -1, *x.shape[1:])
        variance, mean = torch.var_mean(parts, dim=(1, 3, 4), keepdim=True, correction=0)
        normalized = ((parts - mean) / (variance + self.eps).sqrt()).view_as(x)
        with torch.no_grad():
            count = parts[0].numel() / parts.shape[2]
            momentum = self.momentum or 0.0
            for running, value in (
                (self.running_mean, mean),
                (self.running_var, variance * count / max(1.0, count - 1)),
            ):
                if running is not None:
                    running.lerp_(value.mean(dim=0).flatten().to(running.dtype), momentum)
        return normalized * self.weight[:, None, None] + self.bias[:, None, None]


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
    "GhostBN": GhostBatchNorm2d,
    "GN": _group_norm,
    "IBN": IBN,
}


def get_norm(norm: str, channels: int) -> nn.Module:
    """Return a new normalisation layer for (B, channels, H, W).

    Args:
        norm: "BN", "SyncBN" (statistics over all processes; equal to "BN" with one), "FrozenBN", "GhostBN", "GN" or
            "IBN".
        channels: number of channels.

    Raises:
        ValueError: no normalisation has that name.
    """
    if norm not in _NORMS:
        raise ValueError(f"unknown normalisation {norm!r}: expected one of {', '.join(_NORMS)}")
    return _NORMS[norm](channels)
