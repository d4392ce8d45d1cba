"""The strong baseline: a backbone, a head and a sum of losses."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config import CfgNode, configurable
from steploop.modeling import META_ARCH_REGISTRY, Backbone, build_backbone

from .build_losses import Loss, build_losses
from .heads import build_heads

Losses = dict[str, Tensor]


@META_ARCH_REGISTRY.register()
class Baseline(nn.Module):
    """The bag-of-tricks baseline (arXiv:1903.07071): one feature map, one head.

    Args:
        backbone: maps normalised images (B, 3, H, W) to feature maps, of which the last is taken.
        heads: maps it to an embedding, or to `HeadOutputs` in train mode.
        losses: by name, functions of `HeadOutputs` and targets.
        pixel_mean: mean of each channel, in 0..255.
        pixel_std: standard deviation of each channel, in 0..255.
        test_turns: in how many orientations (1, 2 or 4) an image is looked at in eval mode; if there are several, the
            normalised embeddings are put side by side.
        test_flip: in eval mode, return the mean of the embeddings of the image and of the mirrored one.

    Raises:
        ValueError: `test_turns` is another number.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    @configurable
    def __init__(
        self,
        backbone: Backbone,
        heads: nn.Module,
        *,
        losses: Mapping[str, Loss],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        test_turns: int = 1,
        test_flip: bool = False,
    ) -> None:
        super().__init__()
        if test_turns not in (1, 2, 4):
            raise ValueError(f"TEST.TURNS is 1, 2 or 4 orientations of an image; got {test_turns}")
        self.test_turns = test_turns
        self.test_flip = test_flip
        self.backbone = backbone
        self.heads = heads
        self._feature = backbone.last_output
        self.losses = dict(losses)
        # Not in checkpoints: the config says them, and published weights do not hold them.
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Return the parts that MODEL describes."""
        backbone = build_backbone(cfg)
        return {
            "backbone": backbone,
            "heads": build_heads(cfg, backbone.output_shape()[backbone.last_output].channels),
            "losses": build_losses(cfg),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "test_turns": cfg.TEST.TURNS,
            "test_flip": cfg.TEST.FLIP.ENABLED,
        }

    def forward(self, batch: Mapping[str, Any]) -> Tensor | tuple[Losses, Losses]:
        """Return the embedding (B, D * test_turns) in eval mode; the losses and the metrics, all 0-d, in train mode.

        The only metric is ``cls_accuracy``, the share of the batch in 0..1 that the classifier gets right.

        Args:
            batch: "images" (B, 3, H, W), uint8 or float in 0..255, RGB, on any device and not changed; in train mode
                also "targets" (B,), the identities, int64 in 0..K-1.

        Raises:
            KeyError: "targets" is missing in train mode.
            ValueError: images of another shape.
        """
        images = self.normalize(batch["images"])
        if not self.training:
            return self._embed(images)
        feature_map = self._feature_map(images)
        if "targets" not in batch:
            raise KeyError('a batch in train mode needs "targets" beside "images": call model.eval() to get embeddings')
        targets = batch["targets"].to(feature_map.device, non_blocking=True)
        outputs = self.heads(feature_map, targets)
        losses = {name: loss(outputs, targets) for name, loss in self.losses.items()}
        correct = outputs.pred_class_logits.argmax(dim=1) == targets
        return losses, {"cls_accuracy": correct.float().mean()}

    def _feature_map(self, images: Tensor) -> Tensor:
        return self.backbone(images)[self._feature]

    def _embed(self, images: Tensor) -> Tensor:
        if self.test_turns == 1:
            return self._embed_upright(images)
        quarters = range(0, 4, 4 // self.test_turns)
        turned = [self._embed_upright(torch.rot90(images, quarter, dims=(2, 3))) for quarter in quarters]
        return torch.cat([nn.functional.normalize(embedding) for embedding in turned], dim=1)

    def _embed_upright(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.heads(self._feature_map(images))
        if not self.test_flip:
            return embedding
        return (embedding + self.heads(self._feature_map(images.flip(3)))) / 2

    def normalize(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in 0..255 as floats with zero mean and unit deviation, on the model's device."""
        if images.dim() != 4 or images.shape[1] != len(self.pixel_mean):
            raise ValueError(f'"images" must have shape (B, {len(self.pixel_mean)}, H, W), got {(*images.shape,)}')
        # Bytes travel to the device and become floats there.
        images = images.to(self.pixel_mean.device, non_blocking=True).to(self.pixel_mean.dtype)
        return (images - self.pixel_mean) / self.pixel_std
