"""ResNet 18, 34, 50 and 101 (arXiv:1512.03385) with the changes that re-identification made to it."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.norm import IBN, get_norm
from ..pretrain import load_pretrained

NormLayer = Callable[[int], nn.Module]


class _Block(nn.Module):
    """A residual block: what every kind of it shares."""

    expansion: ClassVar[int]
    downsample: nn.Module | None

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return (self.residual(x) + shortcut).relu_()


class BasicBlock(_Block):
    """Two 3x3 convolutions (ResNet 18 and 34)."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, downsample: nn.Module | None, norm: NormLayer, norm1: NormLayer
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = norm1(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm(width)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions; the 3x3 one holds the stride, as in torchvision (ResNet 50 and 101)."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, downsample: nn.Module | None, norm: NormLayer, norm1: NormLayer
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = norm1(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        """Return what is added to the shortcut."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


_Layout = tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]
_LAYOUTS: dict[int, _Layout] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


_OUTPUTS = ("stem", "res2", "res3", "res4", "res5")


class ResNet(Backbone):
    """ResNet without its classifier: images (N, 3, H, W) to the feature maps of its stages.

    The outputs "stem", "res2", "res3", "res4" and "res5" have strides 4, 4, 8, 16, 32 with the "imagenet" stem and
    1, 1, 2, 4, 8 with the "small" one; ``last_stride=1`` halves the last of them. Entries of the state dict have
    torchvision's names; with IBN-a, those of the published IBN-Net weights.

    Args:
        depth: 18, 34, 50 or 101.
        width: channels of the first stage; each further stage has twice as many.
        last_stride: stride of the last stage, 1 or 2 (1: arXiv:1711.09349).
        stem: "imagenet" (7x7 with stride 2, then max pooling) or "small" (3x3 with stride 1, for small images).
        stem_pool: the "imagenet" stem's pooling: "pad" (by 1, as torchvision) or "ceil" (no padding, the last window
            may reach over the edge; as fast-reid).
        with_ibn: half instance, half batch normalisation in the first three stages (IBN-a, arXiv:1807.09441).
        norm: a name that `get_norm` knows.
        out_features: names of the outputs that `forward` returns, in any order; stages behind the last are not built.

    Raises:
        ValueError: an argument is none of the values above.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        depth: int = 50,
        *,
        width: int = 64,
        last_stride: int = 2,
        stem: str = "imagenet",
        stem_pool: str = "pad",
        with_ibn: bool = False,
        norm: str = "BN",
        out_features: Sequence[str] = ("res5",),
    ) -> None:
        super().__init__()
        _check("depth", depth, tuple(_LAYOUTS))
        _check("last_stride", last_stride, (1, 2))
        _check("stem", stem, ("imagenet", "small"))
        _check("stem_pool", stem_pool, ("pad", "ceil"))
        if width < 1:
            raise ValueError(f"a ResNet's width must be at least 1 channel, got {width}")
        block, counts = _LAYOUTS[depth]
        small = stem == "small"
        self.conv1 = nn.Conv2d(3, width, 3 if small else 7, 1 if small else 2, padding=1 if small else 3, bias=False)
        self.bn1 = get_norm(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else _stem_pooling(stem_pool)
        self._out_features = _ordered(out_features)
        channels = [width * factor for factor in (1, 2, 4, 8)]
        starts = [width, *(c * block.expansion for c in channels)]
        # The last stage keeps batch statistics: its features tell classes apart, not styles.
        ibn = (with_ibn, with_ibn, with_ibn, False)
        strides = (1, 2, 2, last_stride)
        shapes = [ShapeSpec(width, 1 if small else 4)]
        # Stages behind the last output are not built: their parameters would never get a gradient.
        for i in range(_OUTPUTS.index(self._out_features[-1])):
            stage = _stage(block, counts[i], starts[i], channels[i], strides[i], norm, ibn[i])
            self.add_module(f"layer{i + 1}", stage)
            shapes.append(ShapeSpec(starts[i + 1], shapes[-1].stride * strides[i]))
        self._shapes = dict(zip(_OUTPUTS, shapes))
        self._reset_convolutions()

    def _reset_convolutions(self) -> None:
        """Draw the convolutions as in arXiv:1502.01852; the norms start as the identity by themselves."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to the outputs `out_features`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        outputs = {"stem": x}
        for i, name in enumerate(list(self._shapes)[1:], start=1):
            x = outputs[name] = self.get_submodule(f"layer{i}")(x)
        return {name: outputs[name] for name in self._out_features}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of the outputs `out_features`."""
        return {name: self._shapes[name] for name in self._out_features}


def _stem_pooling(kind: str) -> nn.MaxPool2d:
    if kind == "pad":
        return nn.MaxPool2d(3, 2, padding=1)
    return nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    count: int,
    in_channels: int,
    width: int,
    stride: int,
    norm: str,
    with_ibn: bool,
) -> nn.Sequential:
    """Return `count` blocks; the first one changes the channels and the resolution."""

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
    blocks = [block(in_channels, width, stride, downsample, norm_layer, norm1_layer)]
    blocks += [block(out_channels, width, 1, None, norm_layer, norm1_layer) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


def _check(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"a ResNet's {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _ordered(out_features: Sequence[str]) -> tuple[str, ...]:
    for name in out_features:
        _check("out_features", name, _OUTPUTS)
    if not out_features:
        raise ValueError(f"a ResNet's out_features must name at least one of {', '.join(_OUTPUTS)}")
    return tuple(name for name in _OUTPUTS if name in out_features)


@BACKBONE_REGISTRY.register()
def build_resnet_backbone(cfg: CfgNode) -> ResNet:
    """Build the ResNet that MODEL.BACKBONE describes and load PRETRAIN_PATH into it, if that is set.

    Raises:
        ValueError: a key has a value that `ResNet` does not know, or nothing in the file fits.
        FileNotFoundError: PRETRAIN_PATH names no file.
    """
    options = cfg.MODEL.BACKBONE
    backbone = ResNet(
        options.DEPTH,
        width=options.WIDTH,
        last_stride=options.LAST_STRIDE,
        stem=options.STEM,
        stem_pool=options.STEM_POOL,
        with_ibn=options.WITH_IBN,
        norm=options.NORM,
    )
    if options.PRETRAIN_PATH:
        load_pretrained(backbone, options.PRETRAIN_PATH, ignore=("fc.",))
    return backbone
