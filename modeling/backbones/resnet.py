"""ResNet of 18 to 152 layers (arXiv:1512.03385), with the variants of re-identification and detection."""

import logging
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..layers.initialisation import init_convolutions
from ..layers.non_local import NonLocal
from ..layers.norm import get_norm
from .choices import start_from_file, variant
from .resnet_blocks import BasicBlock, Bottleneck, make_stage

logger = logging.getLogger(__name__)

_Layout = tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]
_LAYOUTS: dict[int, _Layout] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
# Behind how many of the last blocks of each stage the published re-ID networks have a non-local one.
_NON_LOCAL = {50: (0, 2, 3, 0), 101: (0, 2, 9, 0)}
_NONE = (0, 0, 0, 0)
_DEPTHS = {name: depth for depth in _LAYOUTS for name in (str(depth), f"{depth}x")}
_OUTPUTS = ("stem", "res2", "res3", "res4", "res5")


class ResNet(Backbone):
    """ResNet without its classifier: images (N, 3, H, W) to the feature maps of its stages.

    The outputs "stem", "res2", "res3", "res4" and "res5" have strides 4, 4, 8, 16, 32 with the "imagenet" stem and
    1, 1, 2, 4, 8 with the "small" one; ``last_stride=1`` halves the last of them. Entries of the state dict have
    torchvision's names; with IBN-a, those of the published IBN-Net weights.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: channels of the first stage; each further stage has twice as many.
        last_stride: stride of the last stage, 1 or 2 (1: arXiv:1711.09349).
        stem: "imagenet" (7x7 with stride 2, then max pooling) or "small" (3x3 with stride 1, for small images).
        stem_pool: the "imagenet" stem's pooling: "pad" (by 1, as torchvision) or "ceil" (no padding, the last window
            may reach over the edge; as fast-reid).
        with_ibn: half instance, half batch normalisation in the first three stages (IBN-a, arXiv:1807.09441).
        num_ibn_stages: the number of stages that have it.
        non_local: behind how many of the last blocks of each stage there is a non-local block (arXiv:1711.07971).
        with_se: squeeze and excitation in each block.
        groups: of the 3x3 convolutions.
        group_width: channels of a group in the first stage (ResNeXt 32x4d: 32 groups of 4).
        norm: a name that `get_norm` knows.
        style: "pytorch" or "caffe": which convolution of a `Bottleneck` has the stride.
        out_features: names of the outputs that `forward` returns, in any order; later stages are not built.
        frozen_stages: the stem and this number of stages get no gradient and stay in eval mode; 0 is the stem alone, -1
            freezes nothing.
        norm_eval: do not update the statistics of batch normalisation; the scales and shifts of stages that are not
            frozen train. Like `frozen_stages`, this needs pretrained weights.
        zero_init_residual: initialise the scale of each block's last normalisation to 0, so that the block starts as
            the identity (arXiv:1706.02677).

    Raises:
        ValueError: an argument has a value that is not listed above.
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
        num_ibn_stages: int = 3,
        non_local: Sequence[int] = (0, 0, 0, 0),
        with_se: bool = False,
        groups: int = 1,
        group_width: int = 64,
        norm: str = "BN",
        style: str = "pytorch",
        out_features: Sequence[str] = ("res5",),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        _check("depth", depth, tuple(_LAYOUTS))
        _check("last_stride", last_stride, (1, 2))
        _check("stem", stem, ("imagenet", "small"))
        _check("stem_pool", stem_pool, ("pad", "ceil"))
        _check("style", style, ("pytorch", "caffe"))
        _check("frozen_stages", frozen_stages, tuple(range(-1, len(_OUTPUTS))))
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
        # IBN-a has no instance normalisation in the last stage, whose features must distinguish classes.
        ibn = [with_ibn and i < num_ibn_stages for i in range(4)]
        strides = (1, 2, 2, last_stride)
        shapes = [ShapeSpec(width, 1 if small else 4)]
        # Stages after the last output are not built: their parameters would never get a gradient.
        for i in range(_OUTPUTS.index(self._out_features[-1])):
            stage = make_stage(
                block,
                counts[i],
                starts[i],
                channels[i],
                strides[i],
                norm=norm,
                with_ibn=ibn[i],
                style=style,
                with_se=with_se,
                groups=groups,
                group_width=group_width,
            )
            self.add_module(f"layer{i + 1}", stage)
            shapes.append(ShapeSpec(starts[i + 1], shapes[-1].stride * strides[i]))
        self._shapes = dict(zip(_OUTPUTS, shapes))
        for i in range(1, len(shapes)):
            if non_local[i - 1]:
                seen = (NonLocal(starts[i], norm=norm) for _ in range(non_local[i - 1]))
                self.add_module(f"NL_{i}", nn.ModuleList(seen))
        init_convolutions(self)
        if zero_init_residual:
            self._reset_last_norms()
        self._frozen_stages, self._norm_eval = frozen_stages, norm_eval
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train()

    def _reset_last_norms(self) -> None:
        for module in self.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                norm = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                nn.init.zeros_(norm.get_parameter("weight"))

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self._frozen_stages >= 0:
            yield from (self.conv1, self.bn1)
        for i in range(1, min(self._frozen_stages + 1, len(self._shapes))):
            yield self.get_submodule(f"layer{i}")

    def train(self, mode: bool = True) -> "ResNet":
        """Set the mode, except of modules that `frozen_stages` and `norm_eval` keep in eval mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if self._norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, H, W) to the outputs `out_features`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        outputs = {"stem": x}
        for i, name in enumerate(list(self._shapes)[1:], start=1):
            x = outputs[name] = self._run_stage(i, x)
        return {name: outputs[name] for name in self._out_features}

    def _run_stage(self, number: int, x: Tensor) -> Tensor:
        stage = self.get_submodule(f"layer{number}")
        non_local = getattr(self, f"NL_{number}", None)
        if non_local is None:
            out: Tensor = stage(x)
            return out
        blocks = list(stage.children())
        first = len(blocks) - len(non_local)
        for place, block in enumerate(blocks):
            x = block(x)
            if place >= first:
                x = non_local[place - first](x)
        return x

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of the outputs `out_features`."""
        return {name: self._shapes[name] for name in self._out_features}


def _stem_pooling(kind: str) -> nn.MaxPool2d:
    if kind == "pad":
        return nn.MaxPool2d(3, 2, padding=1)
    return nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)


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
    """Build the ResNet that MODEL.BACKBONE describes.

    PRETRAIN_PATH is stored as the attribute `pretrained`; it is not read here. It logs a warning if random weights
    would be frozen.

    Raises:
        ValueError: a key has a value that `ResNet` does not accept.
    """
    options = cfg.MODEL.BACKBONE
    if (options.FROZEN_STAGES >= 0 or options.NORM_EVAL) and not (options.PRETRAIN_PATH or cfg.MODEL.WEIGHTS):
        logger.warning(
            "MODEL.BACKBONE.FROZEN_STAGES and NORM_EVAL keep random weights and statistics: set PRETRAIN_PATH or "
            "MODEL.WEIGHTS, or FROZEN_STAGES -1 and NORM_EVAL False to train from scratch"
        )
    depth = variant(cfg, _DEPTHS)
    backbone = ResNet(
        depth,
        width=options.WIDTH,
        last_stride=options.LAST_STRIDE,
        stem=options.STEM,
        stem_pool=options.STEM_POOL,
        with_ibn=options.WITH_IBN,
        non_local=_NON_LOCAL.get(depth, _NONE) if options.WITH_NL else _NONE,
        with_se=options.WITH_SE,
        norm=options.NORM,
        style=options.STYLE,
        out_features=options.OUT_FEATURES,
        frozen_stages=options.FROZEN_STAGES,
        norm_eval=options.NORM_EVAL,
        zero_init_residual=options.ZERO_INIT_RESIDUAL,
    )
    return start_from_file(cfg, backbone, "fc.")
