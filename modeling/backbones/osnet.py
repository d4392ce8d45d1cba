"""OSNet: features of several scales in each block (arXiv:1905.00953)."""

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from ..layers.squeeze import GateSE
from .choices import start_from_file, variant

_WIDTHS = {
    "x1_0": (64, 256, 384, 512),
    "x0_75": (48, 192, 288, 384),
    "x0_5": (32, 128, 192, 256),
    "x0_25": (16, 64, 96, 128),
}
_STREAMS = "abcd"


class ConvNorm(nn.Module):
    """A convolution, a normalisation and, if asked for, a ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, norm: nn.Module, *, stride: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)
        self.bn = norm
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class LightConv(nn.Module):
    """A linear 1x1 and a depthwise 3x3 convolution."""

    def __init__(self, in_channels: int, channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = get_norm(norm, channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, channels, H, W)."""
        out: Tensor = self.relu(self.bn(self.conv2(self.conv1(x))))
        return out


class OmniScaleBlock(nn.Module):
    """Four streams of 1, 2, 3 and 4 light convolutions, added up with the weights of one shared gate."""

    def __init__(self, in_channels: int, out_channels: int, norm: str, with_in: bool) -> None:
        super().__init__()
        inner = out_channels // 4
        self.conv1 = ConvNorm(in_channels, inner, 1, get_norm(norm, inner))
        self.conv2a = LightConv(inner, inner, norm)
        for length, stream in enumerate(_STREAMS[1:], start=2):
            self.add_module(f"conv2{stream}", nn.Sequential(*(LightConv(inner, inner, norm) for _ in range(length))))
        self.gate = GateSE(inner, inner // 16)
        self.conv3 = ConvNorm(inner, out_channels, 1, get_norm(norm, out_channels), relu=False)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = ConvNorm(in_channels, out_channels, 1, get_norm(norm, out_channels), relu=False)
        self.IN = nn.InstanceNorm2d(out_channels, affine=True) if with_in else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        x = sum(self.gate(self.get_submodule(f"conv2{stream}")(x)) for stream in _STREAMS)
        x = self.conv3(x) + shortcut
        return (x if self.IN is None else self.IN(x)).relu_()


class OSNet(Backbone):
    """OSNet without its classifier: images (N, 3, H, W) to one map "res5" of stride 16.

    Args:
        widths: channels of the stem and of the three stages.
        with_ibn: instance normalisation in the stem and at the end of the first stage's blocks.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, widths: tuple[int, int, int, int], *, with_ibn: bool = False, norm: str = "BN") -> None:
        super().__init__()
        stem, *stages = widths
        stem_norm = nn.InstanceNorm2d(stem, affine=True) if with_ibn else get_norm(norm, stem)
        self.conv1 = ConvNorm(3, stem, 7, stem_norm, stride=2)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        for number, (before, width) in enumerate(zip(widths, stages), start=2):
            with_in = with_ibn and number == 2
            blocks: list[nn.Module] = [
                OmniScaleBlock(before, width, norm, with_in),
                OmniScaleBlock(width, width, norm, with_in),
            ]
            if number < 4:
                transition = ConvNorm(width, width, 1, get_norm(norm, width))
                blocks.append(nn.Sequential(transition, nn.AvgPool2d(2, stride=2)))
            self.add_module(f"conv{number}", nn.Sequential(*blocks))
        self.conv5 = ConvNorm(stages[-1], stages[-1], 1, get_norm(norm, stages[-1]))
        self._channels = stages[-1]
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / 16, W / 16)}."""
        x = self.maxpool(self.conv1(images))
        for number in (2, 3, 4, 5):
            x = self.get_submodule(f"conv{number}")(x)
        return {"res5": x}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": ShapeSpec(self._channels, 16)}


@BACKBONE_REGISTRY.register()
def build_osnet_backbone(cfg: CfgNode) -> OSNet:
    """Build the OSNet of MODEL.BACKBONE: DEPTH is "x1_0", "x0_75", "x0_5" or "x0_25"; WITH_IBN, NORM."""
    options = cfg.MODEL.BACKBONE
    backbone = OSNet(variant(cfg, _WIDTHS), with_ibn=options.WITH_IBN, norm=options.NORM)
    return start_from_file(cfg, backbone, "classifier.", "fc.")
