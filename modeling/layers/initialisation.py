"""How the weights of a network are drawn."""

from torch import nn


def init_convolutions(module: nn.Module) -> None:
    """Draw the weights of all convolutions as in arXiv:1502.01852, with zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
