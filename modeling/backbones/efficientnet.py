"""EfficientNet (arXiv:1905.11946), with the names of pycls."""

from typing import NamedTuple

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from ..layers.squeeze import ExcitationSE
from .choices import start_from_file, variant

_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
_LAST_STRIDE_STAGE = 5  # counted from 0


class _Variant(NamedTuple):
    stem: int
    counts: tuple[int, ...]
    widths: tuple[int, ...]
    head: int


_B0_WIDTHS = (16, 24, 40, 80, 112, 192, 320)
_VARIANTS = {
    "b0": _Variant(32, (1, 2, 2, 3, 3, 4, 1), _B0_WIDTHS, 1280),
    "b1": _Variant(32, (2, 3, 3, 4, 4, 5, 2), _B0_WIDTHS, 1280),
    "b2": _Variant(32, (2, 3, 3, 4, 4, 5, 2), (16, 24, 48, 88, 120, 208, 352), 1408),
    "b3": _Variant(40, (2, 3, 3, 5, 5, 6, 2), (24, 32, 48, 96, 136, 232, 384), 1536),
    "b4": _Variant(48, (2, 4, 4, 6, 6, 8, 2), (24, 32, 56, 112, 160, 272, 448), 1792),
    "b5": _Variant(48, (3, 5, 5, 7, 7, 9, 3), (24, 40, 64, 128, 176, 304, 512), 2048),
}


class MBConv(nn.Module):
    """A 1x1 convolution that widens, a depthwise one, squeeze and excitation, and a linear 1x1 one that narrows."""

    def __init__(self, in_channels: int, width: int, kernel: int, stride: int, expansion: int, norm: str) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.exp = None
        if expansion > 1:
            self.exp = nn.Conv2d(in_channels, inner, 1, bias=False)
            self.exp_bn = get_norm(norm, inner)
            self.exp_swish = nn.SiLU()
        self.dwise = nn.Conv2d(inner, inner, kernel, stride, padding=kernel // 2, groups=inner, bias=False)
        self.dwise_bn = get_norm(norm, inner)
        self.dwise_swish = nn.SiLU()
        self.se = ExcitationSE(inner, int(in_channels * 0.25), nn.SiLU)
        self.lin_proj = nn.Conv2d(inner, width, 1, bias=False)
        self.lin_proj_bn = get_norm(norm, width)
        self._has_shortcut = stride == 1 and in_channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, width, H / stride, W / stride)."""
        out = x if self.exp is None else self.exp_swish(self.exp_bn(self.exp(x)))
        out = self.se(self.dwise_swish(self.dwise_bn(self.dwise(out))))
        out = self.lin_proj_bn(self.lin_proj(out))
        return out + x if self._has_shortcut else out


class EfficientNet(Backbone):
    """EfficientNet without its classifier: images (N, 3, H, W) to one map "res5" of stride 32, 16 with last_stride 1.

    Args:
        stem: channels of the first convolution.
        counts: blocks of the seven stages.
        widths: their channels.
        head: channels of the last convolution.
        last_stride: stride of the sixth stage, 1 or 2.
        norm: a name that `get_norm` knows.
    """

    def __init__(
        self,
        stem: int,
        counts: tuple[int, ...],
        widths: tuple[int, ...],
        head: int,
        *,
        last_stride: int = 2,
        norm: str = "BN",
    ) -> None:
        super().__init__()
        self.stem = _conv_norm("", 3, stem, 3, 2, norm)
        channels = stem
        for number, (count, width) in enumerate(zip(counts, widths)):
            stage = nn.Sequential()
            stride = last_stride if number == _LAST_STRIDE_STAGE else _STRIDES[number]
            for place in range(1, count + 1):
                own_stride = stride if place == 1 else 1
                block = MBConv(channels, width, _KERNELS[number], own_stride, _EXPANSIONS[number], norm)
                stage.add_module(f"b{place}", block)
                channels = width
            self.add_module(f"s{number + 1}", stage)
        self.head = _conv_norm("conv_", channels, head, 1, 1, norm)
        self._shape = ShapeSpec(head, 16 * last_stride)
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / stride, W / stride)}."""
        x = self.stem(images)
        for number in range(1, len(_STRIDES) + 1):
            x = self.get_submodule(f"s{number}")(x)
        return {"res5": self.head(x)}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": self._shape}


def _conv_norm(prefix: str, in_channels: int, out_channels: int, size: int, stride: int, norm: str) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False))
    layers.add_module(f"{prefix}bn", get_norm(norm, out_channels))
    layers.add_module(f"{prefix}swish", nn.SiLU())
    return layers


@BACKBONE_REGISTRY.register()
def build_effnet_backbone(cfg: CfgNode) -> EfficientNet:
    """Build the EfficientNet of MODEL.BACKBONE: DEPTH is "b0" to "b5"; LAST_STRIDE, NORM."""
    options = cfg.MODEL.BACKBONE
    backbone = EfficientNet(*variant(cfg, _VARIANTS), last_stride=options.LAST_STRIDE, norm=options.NORM)
    return start_from_file(cfg, backbone, "head.fc.")
