"""Deep layer aggregation, DLA-34 (arXiv:1707.06484), with the names of the published weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steploop.modeling import PretrainedWeights


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W) to (B, O, H / stride, W / stride); the shortcut is `x` where none is given."""
        out: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if shortcut is None else shortcut))


class Root(nn.Module):
    """Joins the outputs of a tree's nodes with a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, *nodes: Tensor) -> Tensor:
        """Map maps of one size to one map."""
        out: Tensor = self.relu(self.bn(self.conv(torch.cat(nodes, dim=1))))
        return out


class Tree(nn.Module):
    """A binary tree of `depth` levels whose leaves are blocks.

    In a tree of more than one level the published network computes ``project`` and never uses the result: here it is
    not computed, and its parameters are kept for the published names but take no gradient.

    Args:
        depth: 1 is two blocks and a root.
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first block.
        level_root: give the downsampled input to the root, too.
        root_channels: channels that enter the root; 0 takes those of the two blocks.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        level_root: bool = False,
        root_channels: int = 0,
    ) -> None:
        super().__init__()
        root_channels = (root_channels or 2 * out_channels) + (in_channels if level_root else 0)
        self.depth, self.level_root = depth, level_root
        self.tree1: nn.Module
        self.tree2: nn.Module
        if depth == 1:
            self.tree1 = Block(in_channels, out_channels, stride)
            self.tree2 = Block(out_channels, out_channels)
            self.root = Root(root_channels, out_channels)
        else:
            self.tree1 = Tree(depth - 1, in_channels, out_channels, stride=stride)
            self.tree2 = Tree(depth - 1, out_channels, out_channels, root_channels=root_channels + out_channels)
        self.downsample = nn.MaxPool2d(stride, stride) if stride > 1 else None
        self.project: nn.Sequential | None = None
        if in_channels != out_channels:
            self.project = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )
            self.project.requires_grad_(depth == 1)

    def forward(self, x: Tensor, children: Sequence[Tensor] = ()) -> Tensor:
        """Map (B, C, H, W) to (B, O, H / stride, W / stride); `children` enter the last root."""
        bottom = x if self.downsample is None else self.downsample(x)
        if self.level_root:
            children = (*children, bottom)
        if self.depth > 1:
            first = self.tree1(x)
            out: Tensor = self.tree2(first, (*children, first))
            return out
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        second = self.tree2(first)
        return self.root(second, first, *children)


class DLA(nn.Module):
    """The trunk: normalised images to six maps at strides 1, 2, 4, 8, 16 and 32.

    Args:
        depths: of the six levels: convolutions in the first two, levels of a tree in the others.
        channels: of the six levels; the defaults are DLA-34.

    Attributes:
        pretrained: weights that a new run starts from, where a builder sets them.
    """

    pretrained: PretrainedWeights | None = None

    def __init__(
        self,
        depths: Sequence[int] = (1, 1, 1, 2, 2, 1),
        channels: Sequence[int] = (16, 32, 64, 128, 256, 512),
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        c = self.channels
        self.base_layer = _convolution(3, c[0], 7)
        self.level0 = _convolution(c[0], c[0], 3, repeat=depths[0])
        self.level1 = _convolution(c[0], c[1], 3, stride=2, repeat=depths[1])
        self.level2 = Tree(depths[2], c[1], c[2], stride=2)
        self.level3 = Tree(depths[3], c[2], c[3], stride=2, level_root=True)
        self.level4 = Tree(depths[4], c[3], c[4], stride=2, level_root=True)
        self.level5 = Tree(depths[5], c[4], c[5], stride=2, level_root=True)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images (B, 3, H, W), sides divisible by 32, to {"level0": ..., "level5": ...}."""
        x = self.base_layer(images)
        maps = {}
        for name in ("level0", "level1", "level2", "level3", "level4", "level5"):
            x = maps[name] = self.get_submodule(name)(x)
        return maps


def _convolution(in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, repeat: int = 1) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(repeat):
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel, stride if i == 0 else 1, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)
