"""The strong baseline: a backbone, a head and a sum of losses."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from steploop.config import CfgNode, configurable
from steploop.modeling import META_ARCH_REGISTRY, Backbone, build_backbone

from .build_losses import Loss, build_losses
from .heads import HeadOutputs, build_heads
from .reid_model import Losses, ReidModel, accuracy, channels_of, pixels_and_tests


@META_ARCH_REGISTRY.register()
class Baseline(ReidModel):
    """The bag-of-tricks baseline (arXiv:1903.07071): one feature map, one head.

    Args:
        backbone: maps normalised images (B, 3, H, W) to feature maps, of which the last is taken.
        heads: maps it to an embedding, or to `HeadOutputs` in train mode.
        losses: by name, functions of `HeadOutputs` and targets.
        options: of `ReidModel`.

    Raises:
        ValueError: as `ReidModel`.
    """

    @configurable
    def __init__(self, backbone: Backbone, heads: nn.Module, *, losses: Mapping[str, Loss], **options: Any) -> None:
        super().__init__(**options)
        self.backbone = backbone
        self.heads = heads
        self._feature = backbone.last_output
        self.losses = dict(losses)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Return the parts that MODEL describes."""
        backbone = build_backbone(cfg)
        return {
            "backbone": backbone,
            "heads": build_heads(cfg, channels_of(cfg, backbone)),
            "losses": build_losses(cfg),
            **pixels_and_tests(cfg),
        }

    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings (B, D) of normalised images."""
        embedding: Tensor = self.heads(self._feature_map(images))
        return embedding

    def losses_of(self, images: Tensor, targets: Tensor) -> tuple[Losses, Losses]:
        """Return the losses by name, and the accuracy."""
        return self._losses_of_outputs(self.heads(self._feature_map(images), targets), targets)

    def _losses_of_outputs(self, outputs: HeadOutputs, targets: Tensor) -> tuple[Losses, Losses]:
        losses = {name: loss(outputs, targets) for name, loss in self.losses.items()}
        return losses, {"cls_accuracy": accuracy(outputs.pred_class_logits, targets)}

    def _feature_map(self, images: Tensor) -> Tensor:
        feature_map: Tensor = self.backbone(images)[self._feature]
        return feature_map
