"""Non-local block: every position sees all others (arXiv:1711.07971)."""

import torch
from torch import Tensor, nn

from .norm import get_norm


class NonLocal(nn.Module):
    """Adds to each position a mean over all positions, weighted by products of embeddings (no softmax).

    ``out = x + W(f g)``, where ``f = theta^T phi / N`` over the N positions. The normalisation in W starts at 0, so the
    block starts as the identity. Input and output are (B, C, H, W).

    Args:
        channels: C.
        inner_channels: channels of the embeddings. Published re-ID weights have a single one.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, channels: int, inner_channels: int = 1, norm: str = "BN") -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, inner_channels, 1)
        self.W = nn.Sequential(nn.Conv2d(inner_channels, channels, 1), get_norm(norm, channels))
        for parameter in self.W[1].parameters():
            nn.init.zeros_(parameter)
        self.theta = nn.Conv2d(channels, inner_channels, 1)
        self.phi = nn.Conv2d(channels, inner_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (B, C, H, W) with what every position sees of the others."""
        theta, phi, g = (layer(x).flatten(2) for layer in (self.theta, self.phi, self.g))
        # (g phi^T) theta costs N * inner^2, where (theta^T phi) g^T would cost N^2 * inner.
        seen = torch.bmm(torch.bmm(g, phi.transpose(1, 2)) / theta.shape[2], theta)
        out: Tensor = self.W(seen.view(len(x), -1, *x.shape[2:])) + x
        return out
