"""MobileNetV3 (arXiv:1905.02244), with torchvision's names."""

from typing import NamedTuple

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.rounding import make_divisible
from ..layers.squeeze import GateSE
from .choices import start_from_file, variant


class _Block(NamedTuple):
    kernel: int
    inner: int
    out: int
    with_se: bool
    hard_swish: bool
    stride: int


_LARGE = (
    _Block(3, 16, 16, False, False, 1),
    _Block(3, 64, 24, False, False, 2),
    _Block(3, 72, 24, False, False, 1),
    _Block(5, 72, 40, True, False, 2),
    _Block(5, 120, 40, True, False, 1),
    _Block(5, 120, 40, True, False, 1),
    _Block(3, 240, 80, False, True, 2),
    _Block(3, 200, 80, False, True, 1),
    _Block(3, 184, 80, False, True, 1),
    _Block(3, 184, 80, False, True, 1),
    _Block(3, 480, 112, True, True, 1),
    _Block(3, 672, 112, True, True, 1),
    _Block(5, 672, 160, True, True, 2),
    _Block(5, 960, 160, True, True, 1),
    _Block(5, 960, 160, True, True, 1),
)
_SMALL = (
    _Block(3, 16, 16, True, False, 2),
    _Block(3, 72, 24, False, False, 2),
    _Block(3, 88, 24, False, False, 1),
    _Block(5, 96, 40, True, True, 2),
    _Block(5, 240, 40, True, True, 1),
    _Block(5, 240, 40, True, True, 1),
    _Block(5, 120, 48, True, True, 1),
    _Block(5, 144, 48, True, True, 1),
    _Block(5, 288, 96, True, True, 2),
    _Block(5, 576, 96, True, True, 1),
    _Block(5, 576, 96, True, True, 1),
)
# Blocks, and channels of the output.
_VARIANTS = {"Large": (_LARGE, 1280), "Small": (_SMALL, 1024)}


class InvertedResidual(nn.Module):
    """As MobileNetV2's block, with squeeze and excitation and another activation where the network asks for them."""

    def __init__(self, in_channels: int, block: _Block) -> None:
        super().__init__()
        activation = nn.Hardswish if block.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if block.inner != in_channels:
            layers.append(_conv_norm(in_channels, block.inner, 1, activation))
        layers.append(
            _conv_norm(block.inner, block.inner, block.kernel, activation, stride=block.stride, groups=block.inner)
        )
        if block.with_se:
            layers.append(GateSE(block.inner, make_divisible(block.inner // 4), nn.Hardsigmoid))
        layers.append(_conv_norm(block.inner, block.out, 1, None))
        self.block = nn.Sequential(*layers)
        self._has_shortcut = block.stride == 1 and in_channels == block.out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, block.out, H / stride, W / stride)."""
        out: Tensor = self.block(x)
        return out + x if self._has_shortcut else out


class MobileNetV3(Backbone):
    """MobileNetV3 without its classifier: images (N, 3, H, W) to one map "res5" of stride 32.

    A last 1x1 convolution widens the map; ImageNet weights do not hold it.

    Args:
        blocks: of the network.
        out_channels: channels of the map.
    """

    def __init__(self, blocks: tuple[_Block, ...], out_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm(3, 16, 3, nn.Hardswish, stride=2)]
        channels = 16
        for block in blocks:
            layers.append(InvertedResidual(channels, block))
            channels = block.out
        layers.append(_conv_norm(channels, 6 * channels, 1, nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.conv = nn.Sequential(
            nn.Conv2d(6 * channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU6(inplace=True)
        )
        self._channels = out_channels
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / 32, W / 32)}."""
        return {"res5": self.conv(self.features(images))}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": ShapeSpec(self._channels, 32)}


def _conv_norm(
    in_channels: int,
    out_channels: int,
    size: int,
    activation: type[nn.Module] | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(out_channels, eps=1e-5, momentum=0.1)
    return nn.Sequential(convolution, norm, *((activation(),) if activation is not None else ()))


@BACKBONE_REGISTRY.register()
def build_mobilenetv3_backbone(cfg: CfgNode) -> MobileNetV3:
    """Build the MobileNetV3 of MODEL.BACKBONE: DEPTH is "Large" or "Small". Its normalisation is always "BN"."""
    return start_from_file(cfg, MobileNetV3(*variant(cfg, _VARIANTS)), "classifier.")
