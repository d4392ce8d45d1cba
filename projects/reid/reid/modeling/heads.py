"""Heads: from a backbone's feature map to an embedding, and to what the losses need."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.config import CfgNode, Registry, configurable
from steploop.modeling import build_pooling, get_norm

from .margin import build_cls_layer, cosine_logits

REID_HEADS_REGISTRY = Registry("REID_HEADS")
"""Heads, by class name: called with ``(cfg, feat_dim)``, where `feat_dim` is the backbone's number of channels."""


class HeadOutputs(NamedTuple):
    """What a head gives in train mode.

    Attributes:
        cls_outputs: logits (B, K) with the margin, for the classification loss.
        pred_class_logits: logits (B, K) without it, for the accuracy; detached.
        features: features (B, D) for the losses that compare samples.
    """

    cls_outputs: Tensor
    pred_class_logits: Tensor
    features: Tensor


@REID_HEADS_REGISTRY.register()
class EmbeddingHead(nn.Module):
    """Pooling, the BNNeck and a classifier (arXiv:1903.07071).

    In eval mode the embedding is the feature behind the neck.

    Args:
        feat_dim: channels of the feature map.
        num_classes: identities to tell apart while training, at least 2.
        embedding_dim: channels after an extra 1x1 convolution; 0 leaves that out.
        with_bnneck: batch normalisation, without a learned bias, between pooling and classifier.
        norm: the neck's normalisation, "BN" or "SyncBN".
        neck_feat: "before" or "after": the side of the neck whose features the sample losses see.
        pool_layer: a name that `build_pooling` knows.
        cls_layer: a name that `build_cls_layer` knows.
        scale: factor of the logits.
        margin: margin of `cls_layer`.

    Raises:
        ValueError: an argument is none of the values above.
    """

    @configurable
    def __init__(
        self,
        feat_dim: int,
        num_classes: int,
        *,
        embedding_dim: int = 0,
        with_bnneck: bool = True,
        norm: str = "BN",
        neck_feat: str = "before",
        pool_layer: str = "GlobalAvgPool",
        cls_layer: str = "Linear",
        scale: float = 1.0,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(
                f"a head needs at least 2 identities, got {num_classes}: set MODEL.HEADS.NUM_CLASSES to the number of "
                "identities of the training set"
            )
        _check("NECK_FEAT", neck_feat, ("before", "after"))
        _check("NORM", norm, ("BN", "SyncBN", "GhostBN"))
        self.neck_feat = neck_feat
        dim = embedding_dim or feat_dim
        self.weight = nn.Parameter(torch.randn(num_classes, dim) * 0.01)
        self.pool_layer = build_pooling(pool_layer)
        self.bottleneck = nn.Sequential()
        if embedding_dim:
            convolution = nn.Conv2d(feat_dim, embedding_dim, 1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
            self.bottleneck.append(convolution)
        if with_bnneck:
            neck = get_norm(norm, dim)
            # A free bias would let the classifier's boundaries miss the origin, round which cosines are measured.
            neck.get_parameter("bias").requires_grad_(False)
            self.bottleneck.append(neck)
        self.cls_layer = build_cls_layer(cls_layer, num_classes, scale, margin)

    @classmethod
    def from_config(cls, cfg: CfgNode, feat_dim: int) -> dict[str, Any]:
        """Return the arguments that MODEL.HEADS holds."""
        heads = cfg.MODEL.HEADS
        return {
            "feat_dim": feat_dim,
            "num_classes": heads.NUM_CLASSES,
            "embedding_dim": heads.EMBEDDING_DIM,
            "with_bnneck": heads.WITH_BNNECK,
            "norm": heads.NORM,
            "neck_feat": heads.NECK_FEAT,
            "pool_layer": heads.POOL_LAYER,
            "cls_layer": heads.CLS_LAYER,
            "scale": heads.SCALE,
            "margin": heads.MARGIN,
        }

    def embed(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (B, feat_dim) before and (B, D) behind the neck of a map (B, feat_dim, H, W)."""
        pooled = self.pool_layer(feature_map)
        return pooled.flatten(1), self.bottleneck(pooled).flatten(1)

    def forward(self, feature_map: Tensor, targets: Tensor | None = None) -> Tensor | HeadOutputs:
        """Return the embedding (B, D) in eval mode, `HeadOutputs` in train mode.

        Args:
            feature_map: (B, feat_dim, H, W).
            targets: identities (B,), int64, in 0..num_classes-1; needed in train mode only.

        Raises:
            ValueError: no targets in train mode.
        """
        before, after = self.embed(feature_map)
        if not self.training:
            return after
        if targets is None:
            raise ValueError("a head in train mode needs targets: call model.eval() to get embeddings")
        logits = self._logits(after)
        return HeadOutputs(
            cls_outputs=self.cls_layer(logits, targets),
            pred_class_logits=logits.detach() * self.cls_layer.scale,
            features=before if self.neck_feat == "before" else after,
        )

    def _logits(self, embedding: Tensor) -> Tensor:
        return (
            cosine_logits(embedding, self.weight) if self.cls_layer.takes_cosines else F.linear(embedding, self.weight)
        )


@REID_HEADS_REGISTRY.register()
class ClasHead(EmbeddingHead):
    """`EmbeddingHead` that returns logits (B, num_classes), times the scale, in eval mode."""

    def forward(self, feature_map: Tensor, targets: Tensor | None = None) -> Tensor | HeadOutputs:
        """Return the logits in eval mode, `HeadOutputs` in train mode; see `EmbeddingHead`."""
        if self.training:
            return super().forward(feature_map, targets)
        return self._logits(self.embed(feature_map)[1]) * self.cls_layer.scale


def _check(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"MODEL.HEADS.{key} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def build_heads(cfg: CfgNode, feat_dim: int) -> nn.Module:
    """Build the head that MODEL.HEADS.NAME names for a backbone with `feat_dim` channels.

    Raises:
        KeyError: no head of that name is registered.
    """
    heads: nn.Module = REID_HEADS_REGISTRY.get(cfg.MODEL.HEADS.NAME)(cfg, feat_dim)
    return heads
