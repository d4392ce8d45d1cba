"""RegNet: stages whose widths lie on a line (arXiv:2003.13678), with the names of pycls."""

import math
from typing import NamedTuple

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from ..layers.squeeze import ExcitationSE
from .choices import start_from_file, variant

_STEM = 32


class RegNetShape(NamedTuple):
    """The numbers that a RegNet follows from.

    Attributes:
        depth: number of blocks.
        w0: width of the first block.
        wa: slope of the width.
        wm: factor between the widths of two stages.
        group_width: channels of a group of the 3x3 convolutions.
        with_se: squeeze and excitation in each block (the Y nets).
    """

    depth: int
    w0: int
    wa: float
    wm: float
    group_width: int
    with_se: bool = False

    def stages(self) -> list[tuple[int, int, int]]:
        """Return (width, blocks, group width) of each stage."""
        widths = []
        for block in range(self.depth):
            line = self.w0 + self.wa * block
            power = round(math.log(line / self.w0) / math.log(self.wm))
            widths.append(round(self.w0 * self.wm**power / 8) * 8)
        stages = []
        for width in sorted(set(widths)):
            group = min(self.group_width, width)
            stages.append((round(width / group) * group, widths.count(width), group))
        return stages


_VARIANTS = {
    "200x": RegNetShape(13, 24, 36.44, 2.49, 8),
    "400x": RegNetShape(22, 24, 24.48, 2.54, 16),
    "600x": RegNetShape(16, 48, 36.97, 2.24, 24),
    "800x": RegNetShape(16, 56, 35.73, 2.28, 16),
    "1600x": RegNetShape(18, 80, 34.01, 2.25, 24),
    "3200x": RegNetShape(25, 88, 26.31, 2.25, 48),
    "4000x": RegNetShape(23, 96, 38.65, 2.43, 40),
    "6400x": RegNetShape(17, 184, 60.83, 2.07, 56),
    "200y": RegNetShape(13, 24, 36.44, 2.49, 8, True),
    "400y": RegNetShape(16, 48, 27.89, 2.09, 8, True),
    "600y": RegNetShape(15, 48, 32.54, 2.32, 16, True),
    "800y": RegNetShape(14, 56, 38.84, 2.4, 16, True),
    "1600y": RegNetShape(27, 48, 20.71, 2.65, 24, True),
    "3200y": RegNetShape(21, 80, 42.63, 2.66, 24, True),
    "4000y": RegNetShape(22, 96, 31.41, 2.24, 64, True),
    "6400y": RegNetShape(25, 112, 33.22, 2.27, 72, True),
}


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions, named a, b and c."""

    def __init__(
        self, in_channels: int, width: int, stride: int, group_width: int, inner: int | None, norm: str
    ) -> None:
        super().__init__()
        self.a = nn.Conv2d(in_channels, width, 1, bias=False)
        self.a_bn = get_norm(norm, width)
        self.a_relu = nn.ReLU(inplace=True)
        self.b = nn.Conv2d(width, width, 3, stride, padding=1, groups=width // group_width, bias=False)
        self.b_bn = get_norm(norm, width)
        self.b_relu = nn.ReLU(inplace=True)
        self.se = ExcitationSE(width, inner) if inner is not None else nn.Identity()
        self.c = nn.Conv2d(width, width, 1, bias=False)
        self.c_bn = get_norm(norm, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, width, H / stride, W / stride)."""
        x = self.a_relu(self.a_bn(self.a(x)))
        x = self.se(self.b_relu(self.b_bn(self.b(x))))
        out: Tensor = self.c_bn(self.c(x))
        return out


class ResidualBlock(nn.Module):
    """A bottleneck and its shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int, group_width: int, with_se: bool, norm: str) -> None:
        super().__init__()
        self.proj = None
        if stride != 1 or in_channels != width:
            self.proj = nn.Conv2d(in_channels, width, 1, stride, bias=False)
            self.bn = get_norm(norm, width)
        inner = round(in_channels * 0.25) if with_se else None  # of the block's input, not of its width
        self.f = Bottleneck(in_channels, width, stride, group_width, inner, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, width, H / stride, W / stride)."""
        shortcut = x if self.proj is None else self.bn(self.proj(x))
        return (shortcut + self.f(x)).relu_()


class RegNet(Backbone):
    """RegNet without its classifier: images (N, 3, H, W) to maps of strides 4, 8, 16 and 32.

    The last of the outputs "res2", "res3", "res4", "res5" has stride 16 with ``last_stride=1``.

    Args:
        shape: what the stages follow from.
        last_stride: stride of the last stage, 1 or 2.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, shape: RegNetShape, *, last_stride: int = 2, norm: str = "BN") -> None:
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("conv", nn.Conv2d(3, _STEM, 3, 2, padding=1, bias=False))
        self.stem.add_module("bn", get_norm(norm, _STEM))
        self.stem.add_module("relu", nn.ReLU(inplace=True))
        channels, stride = _STEM, 2
        self._shapes = {}
        for number, (width, count, group_width) in enumerate(shape.stages(), start=1):
            own_stride = last_stride if number == 4 else 2
            stage = nn.Sequential()
            for place in range(1, count + 1):
                block = ResidualBlock(
                    channels, width, own_stride if place == 1 else 1, group_width, shape.with_se, norm
                )
                stage.add_module(f"b{place}", block)
                channels = width
            self.add_module(f"s{number}", stage)
            stride *= own_stride
            self._shapes[f"res{number + 1}"] = ShapeSpec(width, stride)
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to the maps of the stages."""
        x = self.stem(images)
        outputs = {}
        for number, name in enumerate(self._shapes, start=1):
            x = outputs[name] = self.get_submodule(f"s{number}")(x)
        return outputs

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each stage."""
        return dict(self._shapes)


@BACKBONE_REGISTRY.register()
def build_regnet_backbone(cfg: CfgNode) -> RegNet:
    """Build the RegNet of MODEL.BACKBONE: DEPTH is "200x" to "6400x" or "200y" to "6400y"; LAST_STRIDE, NORM."""
    options = cfg.MODEL.BACKBONE
    backbone = RegNet(variant(cfg, _VARIANTS), last_stride=options.LAST_STRIDE, norm=options.NORM)
    return start_from_file(cfg, backbone, "head.")
