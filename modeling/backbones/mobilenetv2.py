"""MobileNetV2 (arXiv:1801.04381), with the names of the weights that are published for re-identification."""

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from ..layers.rounding import make_divisible
from .choices import start_from_file, variant

# Expansion, channels, blocks and stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_FACTORS = {f"{factor}x": factor for factor in (1.0, 0.75, 0.5, 0.35, 0.25, 0.1)}


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 one, and a linear 1x1 one that narrows again."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, norm: str) -> None:
        super().__init__()
        inner = in_channels * expansion
        widen = [nn.Conv2d(in_channels, inner, 1, bias=False), get_norm(norm, inner), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(
            *(widen if expansion > 1 else ()),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            get_norm(norm, inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, out_channels, 1, bias=False),
            get_norm(norm, out_channels),
        )
        self._has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return out + x if self._has_shortcut else out


class MobileNetV2(Backbone):
    """MobileNetV2 without its classifier: images (N, 3, H, W) to one map "res5" of stride 32.

    Args:
        factor: of the numbers of channels.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, factor: float = 1.0, *, norm: str = "BN") -> None:
        super().__init__()
        divisor = 4 if factor == 0.1 else 8
        channels = make_divisible(32 * factor, divisor)
        layers: list[nn.Module] = [_conv_norm(3, channels, 3, 2, norm)]
        for expansion, base, count, stride in _STAGES:
            width = make_divisible(base * factor, divisor)
            for place in range(count):
                layers.append(InvertedResidual(channels, width, stride if place == 0 else 1, expansion, norm))
                channels = width
        self.features = nn.Sequential(*layers)
        self._channels = make_divisible(1280 * max(1.0, factor), divisor)
        self.conv = _conv_norm(channels, self._channels, 1, 1, norm)
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / 32, W / 32)}."""
        return {"res5": self.conv(self.features(images))}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": ShapeSpec(self._channels, 32)}


def _conv_norm(in_channels: int, out_channels: int, size: int, stride: int, norm: str) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, get_norm(norm, out_channels), nn.ReLU6(inplace=True))


@BACKBONE_REGISTRY.register()
def build_mobilenetv2_backbone(cfg: CfgNode) -> MobileNetV2:
    """Build the MobileNetV2 of MODEL.BACKBONE: DEPTH is "1.0x", "0.75x", "0.5x", "0.35x", "0.25x" or "0.1x"; NORM."""
    backbone = MobileNetV2(variant(cfg, _FACTORS), norm=cfg.MODEL.BACKBONE.NORM)
    return start_from_file(cfg, backbone, "classifier.")
