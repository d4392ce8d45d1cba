"""The models of re-identification; importing this package registers them."""

from .baseline import Baseline
from .build_losses import build_losses
from .heads import REID_HEADS_REGISTRY, ClasHead, EmbeddingHead, HeadOutputs, build_heads
from .losses import (
    cross_entropy_loss,
    distillation_loss,
    focal_loss,
    pairwise_circleloss,
    pairwise_cosface,
    triplet_loss,
)
from .margin import ArcSoftmax, CircleSoftmax, CosSoftmax, Linear, build_cls_layer
from .mgn import MGN
from .moco import MoCo
from .reid_model import ReidModel

__all__ = [
    "MGN",
    "REID_HEADS_REGISTRY",
    "ArcSoftmax",
    "Baseline",
    "CircleSoftmax",
    "ClasHead",
    "CosSoftmax",
    "EmbeddingHead",
    "HeadOutputs",
    "Linear",
    "MoCo",
    "ReidModel",
    "build_cls_layer",
    "build_heads",
    "build_losses",
    "cross_entropy_loss",
    "distillation_loss",
    "focal_loss",
    "pairwise_circleloss",
    "pairwise_cosface",
    "triplet_loss",
]
