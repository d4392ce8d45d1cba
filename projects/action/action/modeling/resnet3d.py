"""ResNet of 3D convolutions: SlowOnly by itself, and each of SlowFast's two pathways.

The networks are those of table 1 in "SlowFast Networks for Video Recognition" (arXiv:1812.03982). There is no stride in
time; the spatial stride of a stage is in the 3x3 convolution of its first block.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .conv import ConvModule, NormLayer, norm_layer

DEPTHS: dict[int, tuple[str, tuple[int, ...]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}


class BasicBlock3d(nn.Module):
    """Two convolutions, 3x3x3 where `inflate`, else 1x3x3."""

    expansion = 1

    def __init__(
        self, in_channels: int, planes: int, *, stride: int, inflate: bool, style: str, norm: NormLayer
    ) -> None:
        super().__init__()
        time = 3 if inflate else 1
        self.conv1 = ConvModule(in_channels, planes, (time, 3, 3), stride=(1, stride, stride), norm=norm)
        self.conv2 = ConvModule(planes, planes, (time, 3, 3), norm=norm, act=False)
        self.downsample = _shortcut(in_channels, planes, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, planes, T, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(self.conv2(self.conv1(x)) + shortcut)

    @property
    def last_norm(self) -> nn.Module | None:
        """The normalisation before the sum."""
        return self.conv2.bn


class Bottleneck3d(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; `style` says which of the first two gets 3 frames of time where `inflate`.

    "3x1x1": the first is 3x1x1 and the second 1x3x3; "3x3x3": the first is 1x1x1 and the second 3x3x3.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, planes: int, *, stride: int, inflate: bool, style: str, norm: NormLayer
    ) -> None:
        super().__init__()
        first, second = (1, 1) if not inflate else (3, 1) if style == "3x1x1" else (1, 3)
        self.conv1 = ConvModule(in_channels, planes, (first, 1, 1), norm=norm)
        self.conv2 = ConvModule(planes, planes, (second, 3, 3), stride=(1, stride, stride), norm=norm)
        self.conv3 = ConvModule(planes, planes * self.expansion, (1, 1, 1), norm=norm, act=False)
        self.downsample = _shortcut(in_channels, planes * self.expansion, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, (N, 4 * planes, T, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu_(self.conv3(self.conv2(self.conv1(x))) + shortcut)

    @property
    def last_norm(self) -> nn.Module | None:
        """The normalisation before the sum."""
        return self.conv3.bn


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: NormLayer) -> ConvModule | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return ConvModule(in_channels, out_channels, (1, 1, 1), stride=(1, stride, stride), norm=norm, act=False)


class ResNet3d(nn.Module):
    """One network of 3D convolutions: stem, max pooling and four stages, "layer1" to "layer4".

    Args:
        depth: 18, 34 (basic blocks), 50 or 101 (bottlenecks).
        in_channels: of the clip.
        base_channels: of the stem and, times 1, 2, 4 and 8, of the stages' inner convolutions.
        conv1_kernel: of the stem, (time, height, width); its stride is (1, conv1_stride_s, conv1_stride_s).
        conv1_stride_s: spatial stride of the stem.
        pool1_stride_s: spatial stride of the 1x3x3 max pooling after it.
        inflate: for each stage, whether its blocks see 3 frames.
        inflate_style: "3x1x1" or "3x3x3", see `Bottleneck3d`.
        spatial_strides: of the first block of each stage.
        norm_cfg: {"type": "BN3d" or "SyncBN", "requires_grad": bool}.
        norm_eval: keep the statistics of batch normalisation in training mode too.
        frozen_stages: this many stages (and the stem, from 0) do not train; -1: all train.
        zero_init_residual: begin with 0 in the last normalisation of each block, so that a block is the identity.
        stage_blocks: blocks of each stage, in place of those of `depth`.
        stage_widths: multiples of base_channels, in place of (1, 2, 4, 8).
        extra_channels: what is added to the input of each stage: the laterals of SlowFast.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        base_channels: int = 64,
        *,
        conv1_kernel: Sequence[int] = (1, 7, 7),
        conv1_stride_s: int = 2,
        pool1_stride_s: int = 2,
        inflate: Sequence[int] = (0, 0, 1, 1),
        inflate_style: str = "3x1x1",
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        frozen_stages: int = -1,
        zero_init_residual: bool = True,
        stage_blocks: Sequence[int] | None = None,
        stage_widths: Sequence[int] = (1, 2, 4, 8),
        extra_channels: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"depth of a ResNet3d is one of {', '.join(map(str, DEPTHS))}; came {depth}")
        if inflate_style not in ("3x1x1", "3x3x3"):
            raise ValueError(f"inflate_style is '3x1x1' or '3x3x3'; came {inflate_style!r}")
        kind, default_blocks = DEPTHS[depth]
        blocks = tuple(stage_blocks or default_blocks)
        settings = {
            "stage_blocks": blocks, "inflate": inflate, "spatial_strides": spatial_strides, "stage_widths": stage_widths
        }  # fmt: skip
        for name, values in settings.items():
            if len(values) != 4:
                raise ValueError(f"{name} of a ResNet3d has one value for each of its 4 stages; came {values}")
        norm = norm_layer((norm_cfg or {}).get("type", "BN3d"))
        block = BasicBlock3d if kind == "basic" else Bottleneck3d
        self.norm_eval, self.frozen_stages = norm_eval, frozen_stages
        time, height, width = conv1_kernel
        stride = (1, conv1_stride_s, conv1_stride_s)
        self.conv1 = ConvModule(in_channels, base_channels, (time, height, width), stride=stride, norm=norm)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, pool1_stride_s, pool1_stride_s), (0, 1, 1))
        channels = base_channels
        self.stage_channels: list[int] = []
        for number, (count, spatial, inflated) in enumerate(zip(blocks, spatial_strides, inflate)):
            planes = base_channels * stage_widths[number]
            layers = []
            for place in range(count):
                inputs = channels + extra_channels[number] if place == 0 else planes * block.expansion
                first_stride = spatial if place == 0 else 1
                layers.append(
                    block(inputs, planes, stride=first_stride, inflate=bool(inflated), style=inflate_style, norm=norm)
                )
            channels = planes * block.expansion
            self.stage_channels.append(channels)
            self.add_module(f"layer{number + 1}", nn.Sequential(*layers))
        init_weights(self, zero_init_residual=zero_init_residual)
        if not (norm_cfg or {}).get("requires_grad", True):
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(False)
        self._freeze()

    @property
    def out_channels(self) -> int:
        """Channels of the last stage."""
        return self.stage_channels[-1]

    def stem(self, x: Tensor) -> Tensor:
        """Return the stem's output after pooling."""
        return self.maxpool(self.conv1(x))

    def stage(self, number: int) -> nn.Module:
        """Return stage `number`, 1 to 4."""
        return self.get_submodule(f"layer{number}")

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, out_channels, T, H / 32, W / 32) of clips (N, C, T, H, W)."""
        x = self.stem(x)
        for number in range(1, 5):
            x = self.stage(number)(x)
        return x

    def train(self, mode: bool = True) -> "ResNet3d":
        """Set the mode; frozen stages, and with `norm_eval` all normalisation, stay in eval mode."""
        super().train(mode)
        if mode:
            self._freeze()
            for module in self.modules():
                if self.norm_eval and isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in [self.conv1, *(self.stage(number) for number in range(1, self.frozen_stages + 1))]:
            module.eval()
            module.requires_grad_(False)


def init_weights(module: nn.Module, *, zero_init_residual: bool) -> None:
    """Draw initial weights: convolutions normal with std sqrt(2 / fan_out) (arXiv:1502.01852), normalisation 1 and 0.

    Args:
        module: changed in place.
        zero_init_residual: the last normalisation of each block gets 0 (arXiv:1706.02677, section 5.1).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, _BatchNorm) and part.affine:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    if zero_init_residual:
        for part in module.modules():
            if isinstance(part, BasicBlock3d | Bottleneck3d) and part.last_norm is not None:
                nn.init.zeros_(part.last_norm.weight)  # type: ignore[arg-type]
