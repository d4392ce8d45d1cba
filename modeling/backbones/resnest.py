"""ResNeSt: split attention in each bottleneck (arXiv:2004.08955), with the names of its authors and of timm."""

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.norm import get_norm
from .choices import start_from_file, variant

_RADIX = 2
# Channels of the stem's first convolutions, and blocks of the stages.
_VARIANTS = {
    "50x": (32, (3, 4, 6, 3)),
    "101x": (64, (3, 4, 23, 3)),
    "200x": (64, (3, 24, 36, 3)),
    "269x": (64, (3, 30, 48, 8)),
}


class SplitAttention(nn.Module):
    """A grouped 3x3 convolution to `_RADIX` splits, and their sum with weights from all of them."""

    def __init__(self, channels: int, dilation: int, norm: str) -> None:
        super().__init__()
        inner = max(channels * _RADIX // 4, 32)
        self.conv = nn.Conv2d(
            channels, channels * _RADIX, 3, padding=dilation, dilation=dilation, groups=_RADIX, bias=False
        )
        self.bn0 = get_norm(norm, channels * _RADIX)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.bn1 = get_norm(norm, inner)
        self.fc2 = nn.Conv2d(inner, channels * _RADIX, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape as `x` (B, C, H, W)."""
        splits = self.relu(self.bn0(self.conv(x))).unflatten(1, (_RADIX, -1))
        mean = splits.sum(dim=1).mean(dim=(2, 3), keepdim=True)
        weights = self.fc2(self.relu(self.bn1(self.fc1(mean)))).unflatten(1, (_RADIX, -1)).softmax(dim=1)
        out: Tensor = (weights * splits).sum(dim=1)
        return out


class Bottleneck(nn.Module):
    """1x1, split attention and 1x1; average pooling does what strides do elsewhere."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, dilation: int, with_pool: bool, has_shortcut: bool, norm: str
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = get_norm(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = SplitAttention(width, dilation, norm)
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if with_pool else nn.Identity()
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = get_norm(norm, out_channels)
        self.downsample = None
        if has_shortcut:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                get_norm(norm, out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avd_layer(self.conv2(x))
        return (self.bn3(self.conv3(x)) + shortcut).relu_()


class ResNeSt(Backbone):
    """ResNeSt without its classifier: images (N, 3, H, W) to maps "res2" to "res5" of strides 4, 8, 16, 32.

    With ``last_stride=1`` the last stage has stride 16, and its convolutions behind the first block are dilated by 2,
    as in the published re-ID networks.

    Args:
        stem: channels of the stem's first two convolutions.
        counts: blocks of the four stages.
        last_stride: stride of the last stage, 1 or 2.
        norm: a name that `get_norm` knows.
    """

    def __init__(self, stem: int, counts: tuple[int, int, int, int], *, last_stride: int = 2, norm: str = "BN") -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, padding=1, bias=False),
            get_norm(norm, stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, stem, 3, padding=1, bias=False),
            get_norm(norm, stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, 2 * stem, 3, padding=1, bias=False),
        )
        self.bn1 = get_norm(norm, 2 * stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels, total = 2 * stem, 4
        self._shapes = {}
        for number, (count, stride) in enumerate(zip(counts, (1, 2, 2, last_stride)), start=1):
            width = 64 * 2 ** (number - 1)
            later_dilation = 2 if number == 4 and last_stride == 1 else 1
            blocks = [Bottleneck(channels, width, stride, 1, number > 1, True, norm)]
            channels, total = width * Bottleneck.expansion, total * stride
            blocks += [Bottleneck(channels, width, 1, later_dilation, False, False, norm) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self._shapes[f"res{number + 1}"] = ShapeSpec(channels, total)
        init_convolutions(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to the maps of the stages."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        outputs = {}
        for number, name in enumerate(self._shapes, start=1):
            x = outputs[name] = self.get_submodule(f"layer{number}")(x)
        return outputs

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of each stage."""
        return dict(self._shapes)


@BACKBONE_REGISTRY.register()
def build_resnest_backbone(cfg: CfgNode) -> ResNeSt:
    """Build the ResNeSt of MODEL.BACKBONE: DEPTH is "50x", "101x", "200x" or "269x"; LAST_STRIDE, NORM."""
    options = cfg.MODEL.BACKBONE
    stem, counts = variant(cfg, _VARIANTS)
    backbone = ResNeSt(stem, counts, last_stride=options.LAST_STRIDE, norm=options.NORM)
    return start_from_file(cfg, backbone, "fc.")
