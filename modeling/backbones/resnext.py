"""ResNeXt 32x4d: a ResNet whose 3x3 convolutions have 32 groups (arXiv:1611.05431)."""

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY
from .choices import start_from_file, variant
from .resnet import ResNet

_DEPTHS = {name: depth for depth in (50, 101, 152) for name in (f"{depth}x", str(depth))}
# Behind how many of the last blocks of each stage there is a non-local one.
_NON_LOCAL = (0, 2, 3, 0)


@BACKBONE_REGISTRY.register()
def build_resnext_backbone(cfg: CfgNode) -> ResNet:
    """Build the ResNeXt of MODEL.BACKBONE: DEPTH is 50, 101 or 152; LAST_STRIDE, WITH_IBN, WITH_NL, WITH_SE, NORM.

    With IBN, the last stage has it as well, as in the published weights.
    """
    options = cfg.MODEL.BACKBONE
    backbone = ResNet(
        variant(cfg, _DEPTHS),
        width=options.WIDTH,
        last_stride=options.LAST_STRIDE,
        with_ibn=options.WITH_IBN,
        num_ibn_stages=4,
        non_local=_NON_LOCAL if options.WITH_NL else (0, 0, 0, 0),
        with_se=options.WITH_SE,
        norm=options.NORM,
        out_features=options.OUT_FEATURES,
        groups=32,
        group_width=4,
    )
    return start_from_file(cfg, backbone, "fc.")
