"""The models of re-identification; importing this package registers them."""

from .baseline import Baseline
from .build_losses import build_losses
from .heads import REID_HEADS_REGISTRY, EmbeddingHead, HeadOutputs, build_heads
from .losses import cross_entropy_loss, pairwise_circleloss, pairwise_cosface, triplet_loss
from .margin import ArcSoftmax, CircleSoftmax, CosSoftmax, Linear, build_cls_layer

__all__ = [
    "REID_HEADS_REGISTRY",
    "ArcSoftmax",
    "Baseline",
    "CircleSoftmax",
    "CosSoftmax",
    "EmbeddingHead",
    "HeadOutputs",
    "Linear",
    "build_cls_layer",
    "build_heads",
    "build_losses",
    "cross_entropy_loss",
    "pairwise_circleloss",
    "pairwise_cosface",
    "triplet_loss",
]
