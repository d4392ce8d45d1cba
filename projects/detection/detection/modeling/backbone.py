"""A ResNet as detectors train it: with stages that stay fixed and statistics that do not move."""

from collections.abc import Sequence

from torch import nn

from steploop.modeling import ResNet
from steploop.modeling.backbones.resnet import Bottleneck


class DetectionResNet(ResNet):
    """A ResNet of which the first stages may be frozen.

    Args:
        depth: 18, 34, 50 or 101.
        out_features: names of the stages that are returned.
        frozen_stages: the stem (from 0) and so many stages get no gradient and stay in eval mode; negative: none.
        norm_eval: all batch normalisation stays in eval mode: running statistics do not move, weights still train.
        style: "pytorch" has a block's stride in its 3x3 convolution, "caffe" in its first 1x1.
        norm: a name that `get_norm` knows.
        zero_init_residual: the last normalisation of each block starts at 0, so that a block starts as the identity.
        width: channels of the first stage.
    """

    def __init__(
        self,
        depth: int = 50,
        *,
        out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
        frozen_stages: int = -1,
        norm_eval: bool = True,
        style: str = "pytorch",
        norm: str = "BN",
        zero_init_residual: bool = True,
        width: int = 64,
    ) -> None:
        super().__init__(depth, norm=norm, out_features=out_features, width=width)
        if style not in ("pytorch", "caffe"):
            raise ValueError(f'a ResNet\'s style is "pytorch" or "caffe"; came {style!r}')
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval
        stages = [module for name, module in self.named_children() if name.startswith("layer")]
        self._frozen: list[nn.Module] = []
        if frozen_stages >= 0:
            self._frozen = [self.conv1, self.bn1, *stages[:frozen_stages]]
        for module in self._frozen:
            module.requires_grad_(False)
        for block in (block for stage in stages for block in stage.children()):
            last = block.get_submodule("bn3" if isinstance(block, Bottleneck) else "bn2")
            if zero_init_residual and isinstance(last.weight, nn.Parameter):
                nn.init.zeros_(last.weight)
            if style == "caffe" and isinstance(block, Bottleneck):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
        self.train()

    def train(self, mode: bool = True) -> "DetectionResNet":
        """Set the mode, except for what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self
