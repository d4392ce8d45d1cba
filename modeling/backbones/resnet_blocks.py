"""Residual blocks of a ResNet, and stages of them."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.norm import IBN, get_norm
from ..layers.squeeze import SELayer

NormLayer = Callable[[int], nn.Module]


class _Block(nn.Module):
    """Base class of residual blocks."""

    expansion: ClassVar[int]
    se: nn.Module | None
    downsample: nn.Module | None

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.residual(x)
        if self.se is not None:
            residual = self.se(residual)
        return (residual + shortcut).relu_()


class BasicBlock(_Block):
    """Two 3x3 convolutions (ResNet 18 and 34); the first one has the stride in either style."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        norm: NormLayer,
        norm1: NormLayer,
        style: str,
        *,
        with_se: bool = False,
        groups: int = 1,
        group_width: int = 64,
    ) -> None:
        super().__init__()
        if groups != 1:
            raise ValueError("a BasicBlock has no groups: choose a ResNet of at least 50 layers")
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = norm1(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm(width)
        self.se = SELayer(width) if with_se else None
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions (ResNet 50 and 101).

    In the style "pytorch" the 3x3 convolution has the stride (torchvision), in the style "caffe" the first 1x1 one (the
    original network, and detectron2's).
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        downsample: nn.Module | None,
        norm: NormLayer,
        norm1: NormLayer,
        style: str,
        *,
        with_se: bool = False,
        groups: int = 1,
        group_width: int = 64,
    ) -> None:
        super().__init__()
        inner = width * group_width // 64 * groups
        stride1, stride2 = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride1, bias=False)
        self.bn1 = norm1(inner)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride2, padding=1, groups=groups, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.se = SELayer(width * self.expansion) if with_se else None
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


def make_stage(
    block: type[BasicBlock] | type[Bottleneck],
    count: int,
    in_channels: int,
    width: int,
    stride: int,
    *,
    norm: str,
    with_ibn: bool,
    style: str,
    with_se: bool = False,
    groups: int = 1,
    group_width: int = 64,
) -> nn.Sequential:
    """Return `count` blocks; the first one changes the channels and the resolution.

    Args:
        block: the kind of block.
        count: number of blocks.
        in_channels: channels of the input.
        width: channels inside of a block; the output has ``width * block.expansion``.
        stride: of the first block.
        norm: a name for `get_norm`.
        with_ibn: the first normalisation of each block is `IBN`.
        style: "pytorch" or "caffe", see `Bottleneck`.
        with_se: squeeze and excitation at the end of each block.
        groups: of the 3x3 convolutions of a `Bottleneck`.
        group_width: channels of a group where `width` is 64; 64 with one group is a ResNet.
    """
    kind: dict[str, Any] = {"with_se": with_se, "groups": groups, "group_width": group_width}

    def norm_layer(channels: int) -> nn.Module:
        return get_norm(norm, channels)

    def norm1_layer(channels: int) -> nn.Module:
        return IBN(channels, norm) if with_ibn else get_norm(norm, channels)

    out_channels = width * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm_layer(out_channels)
        )
    blocks = [block(in_channels, width, stride, downsample, norm_layer, norm1_layer, style, **kind)]
    blocks += [block(out_channels, width, 1, None, norm_layer, norm1_layer, style, **kind) for _ in range(count - 1)]
    return nn.Sequential(*blocks)
