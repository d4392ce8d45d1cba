"""RepVGG: three branches while it trains, one 3x3 convolution afterwards (arXiv:2101.03697)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from .choices import start_from_file, variant


class _Variant(NamedTuple):
    counts: tuple[int, int, int, int]
    factors: tuple[float, float, float, float]
    groups: int = 1


_A, _B = (2, 4, 14, 1), (4, 6, 16, 1)
_B_FACTORS = {"B1": (2.0, 2.0, 2.0, 4.0), "B2": (2.5, 2.5, 2.5, 5.0), "B3": (3.0, 3.0, 3.0, 5.0)}
_VARIANTS = {
    "A0": _Variant(_A, (0.75, 0.75, 0.75, 2.5)),
    "A1": _Variant(_A, (1.0, 1.0, 1.0, 2.5)),
    "A2": _Variant(_A, (1.5, 1.5, 1.5, 2.75)),
    "B0": _Variant(_B, (1.0, 1.0, 1.0, 2.5)),
    **{
        name + (f"g{groups}" if groups > 1 else ""): _Variant(_B, factors, groups)
        for name, factors in _B_FACTORS.items()
        for groups in (1, 2, 4)
    },
}


class ConvNorm(nn.Sequential):
    """A convolution without bias, and a normalisation, named "conv" and "bn"."""

    conv: nn.Conv2d
    bn: nn.Module

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int, groups: int, norm: str) -> None:
        super().__init__()
        self.add_module(
            "conv", nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, groups=groups, bias=False)
        )
        self.add_module("bn", get_norm(norm, out_channels))


class RepVGGBlock(nn.Module):
    """``relu(BN(3x3) + BN(1x1) + BN(x))``, the last one where shapes allow; `fuse` makes one 3x3 convolution of it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int, norm: str) -> None:
        super().__init__()
        keeps_shape = stride == 1 and in_channels == out_channels
        self.rbr_identity = get_norm(norm, in_channels) if keeps_shape else None
        self.rbr_dense = ConvNorm(in_channels, out_channels, 3, stride, groups, norm)
        self.rbr_1x1 = ConvNorm(in_channels, out_channels, 1, stride, groups, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        out = self.rbr_dense(x) + self.rbr_1x1(x)
        if self.rbr_identity is not None:
            out = out + self.rbr_identity(x)
        return F.relu(out)

    @torch.no_grad()
    def fuse(self) -> nn.Sequential:
        """Return one convolution and a ReLU that compute what this block computes in eval mode."""
        dense = self.rbr_dense.conv
        kernel, bias = _fold(dense.weight, self.rbr_dense.bn)
        point, point_bias = _fold(self.rbr_1x1.conv.weight, self.rbr_1x1.bn)
        kernel, bias = kernel + F.pad(point, (1, 1, 1, 1)), bias + point_bias
        if self.rbr_identity is not None:
            unit = torch.zeros_like(dense.weight)
            rows = torch.arange(dense.out_channels, device=unit.device)
            unit[rows, rows % dense.weight.shape[1], 1, 1] = 1
            unit, unit_bias = _fold(unit, self.rbr_identity)
            kernel, bias = kernel + unit, bias + unit_bias
        fused = nn.Conv2d(dense.in_channels, dense.out_channels, 3, dense.stride[0], 1, groups=dense.groups)
        fused.weight, fused.bias = nn.Parameter(kernel), nn.Parameter(bias)
        return nn.Sequential(fused, nn.ReLU(inplace=True))


def _fold(kernel: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return kernel and bias of a convolution followed by batch normalisation in eval mode."""
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.get_parameter("weight") / (variance + norm.eps).sqrt()  # type: ignore[operator]
    return kernel * scale[:, None, None, None], norm.get_parameter("bias") - mean * scale


class RepVGG(Backbone):
    """RepVGG without its classifier: images (N, 3, H, W) to one map "res5" of stride 32, or 16 with last_stride 1.

    Args:
        counts: blocks of the four stages.
        factors: their channels, as factors of 64, 128, 256 and 512.
        groups: of every second convolution.
        last_stride: stride of the last stage, 1 or 2.
        norm: "BN" or "SyncBN"; others cannot be fused.
    """

    def __init__(
        self,
        counts: tuple[int, int, int, int],
        factors: tuple[float, float, float, float],
        *,
        groups: int = 1,
        last_stride: int = 2,
        norm: str = "BN",
    ) -> None:
        super().__init__()
        channels = min(64, int(64 * factors[0]))
        self.stage0 = RepVGGBlock(3, channels, 2, 1, norm)
        number = 1
        for stage, (count, factor, stride) in enumerate(zip(counts, factors, (2, 2, 2, last_stride)), start=1):
            width = int(64 * 2 ** (stage - 1) * factor)
            blocks = []
            for place in range(count):
                own_groups = groups if number % 2 == 0 else 1
                blocks.append(RepVGGBlock(channels, width, stride if place == 0 else 1, own_groups, norm))
                channels, number = width, number + 1
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
        self._shape = ShapeSpec(channels, 16 * last_stride)
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / stride, W / stride)}."""
        x = self.stage0(images)
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"stage{stage}")(x)
        return {"res5": x}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": self._shape}

    def deploy(self) -> "RepVGG":
        """Replace every block by one convolution, in place, and return the network, which can only be evaluated then.

        The state dict has other names afterwards.
        """
        for name, module in list(self.named_modules()):
            if isinstance(module, RepVGGBlock):
                parent, _, child = name.rpartition(".")
                setattr(self.get_submodule(parent), child, module.fuse())
        return self.eval()


@BACKBONE_REGISTRY.register()
def build_repvgg_backbone(cfg: CfgNode) -> RepVGG:
    """Build the RepVGG of MODEL.BACKBONE: DEPTH is "A0".."A2", "B0".."B3", "B1g2", "B1g4", ...; LAST_STRIDE, NORM."""
    options = cfg.MODEL.BACKBONE
    chosen = variant(cfg, _VARIANTS)
    backbone = RepVGG(
        chosen.counts, chosen.factors, groups=chosen.groups, last_stride=options.LAST_STRIDE, norm=options.NORM
    )
    return start_from_file(cfg, backbone, "linear.")
