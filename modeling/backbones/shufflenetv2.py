"""ShuffleNetV2 (arXiv:1807.11164), with the names of its authors' published weights."""

import torch
from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from .choices import start_from_file, variant

# Channels of the stem, of the three stages and of the last convolution.
_WIDTHS = {
    "0.5x": (24, 48, 96, 192, 1024),
    "1.0x": (24, 116, 232, 464, 1024),
    "1.5x": (24, 176, 352, 704, 1024),
    "2.0x": (24, 244, 488, 976, 2048),
}
_REPEATS = (4, 8, 4)


class ShuffleBlock(nn.Module):
    """Half of the channels pass as they are; with stride 2, both halves are made of all channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: str) -> None:
        super().__init__()
        inner = out_channels // 2
        self.branch_main = nn.Sequential(
            nn.Conv2d(in_channels, inner, 1, bias=False),
            get_norm(norm, inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False),
            get_norm(norm, inner),
            nn.Conv2d(inner, out_channels - in_channels, 1, bias=False),
            get_norm(norm, out_channels - in_channels),
            nn.ReLU(inplace=True),
        )
        self.branch_proj = None
        if stride == 2:
            self.branch_proj = nn.Sequential(
                nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
                get_norm(norm, in_channels),
                nn.Conv2d(in_channels, in_channels, 1, bias=False),
                get_norm(norm, in_channels),
                nn.ReLU(inplace=True),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, out_channels, H / stride, W / stride)."""
        if self.branch_proj is None:
            # This is the shuffle: even channels pass, odd ones go through the branch.
            return torch.cat((x[:, 0::2], self.branch_main(x[:, 1::2])), dim=1)
        return torch.cat((self.branch_proj(x), self.branch_main(x)), dim=1)


class ShuffleNetV2(Backbone):
    """ShuffleNetV2 without its classifier: images (N, 3, H, W) to one map "res5" of stride 32.

    Args:
        widths: channels of the stem, of the three stages and of the last convolution.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, widths: tuple[int, ...], *, norm: str = "BN") -> None:
        super().__init__()
        stem, *stages, last = widths
        self.first_conv = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), get_norm(norm, stem), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        blocks = []
        for before, width, repeats in zip(widths, stages, _REPEATS):
            blocks.append(ShuffleBlock(before, width, 2, norm))
            blocks += [ShuffleBlock(width // 2, width, 1, norm) for _ in range(repeats - 1)]
        self.features = nn.Sequential(*blocks)
        self.conv_last = nn.Sequential(
            nn.Conv2d(stages[-1], last, 1, bias=False), get_norm(norm, last), nn.ReLU(inplace=True)
        )
        self._channels = last
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to {"res5": (N, C, H / 32, W / 32)}."""
        return {"res5": self.conv_last(self.features(self.maxpool(self.first_conv(images))))}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": ShapeSpec(self._channels, 32)}


@BACKBONE_REGISTRY.register()
def build_shufflenetv2_backbone(cfg: CfgNode) -> ShuffleNetV2:
    """Build the ShuffleNetV2 of MODEL.BACKBONE: DEPTH is "0.5x", "1.0x", "1.5x" or "2.0x"; NORM."""
    backbone = ShuffleNetV2(variant(cfg, _WIDTHS), norm=cfg.MODEL.BACKBONE.NORM)
    return start_from_file(cfg, backbone, "classifier.")
