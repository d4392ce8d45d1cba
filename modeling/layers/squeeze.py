"""Squeeze and excitation: channels weighed by what the whole map holds (arXiv:1709.01507).

Three networks that have published weights spell it in three ways; the names of the weights are theirs.
"""

from collections.abc import Callable

from torch import Tensor, nn


class SELayer(nn.Module):
    """With linear layers without biases, as in ResNets: ``sigmoid(fc(relu(fc(mean))))``."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, inner, bias=False), nn.ReLU(inplace=True), nn.Linear(inner, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of `x` (B, C, H, W)."""
        weights: Tensor = self.fc(x.mean(dim=(2, 3))).sigmoid()
        return x * weights[:, :, None, None]


class ExcitationSE(nn.Module):
    """With 1x1 convolutions in one sequence ``f_ex``, as in RegNet and EfficientNet."""

    def __init__(self, channels: int, inner: int, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.f_ex = nn.Sequential(
            nn.Conv2d(channels, inner, 1), activation(), nn.Conv2d(inner, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of `x` (B, C, H, W)."""
        weighed: Tensor = x * self.f_ex(x.mean(dim=(2, 3), keepdim=True))
        return weighed


class GateSE(nn.Module):
    """With 1x1 convolutions ``fc1`` and ``fc2``, as in OSNet and MobileNetV3."""

    def __init__(self, channels: int, inner: int, gate: Callable[[], nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(inner, channels, 1)
        self.gate_activation = gate()

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of `x` (B, C, H, W)."""
        inner = self.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))
        weighed: Tensor = x * self.gate_activation(self.fc2(inner))
        return weighed
