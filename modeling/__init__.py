"""Registries and the building blocks that more than one project uses."""

from .build import BACKBONE_REGISTRY, META_ARCH_REGISTRY, Backbone, build_backbone, build_model
from .norm import IBN, FrozenBatchNorm2d, get_norm
from .pooling import (
    AdaptiveAvgMaxPool,
    GeneralizedMeanPooling,
    GeneralizedMeanPoolingP,
    GlobalAvgPool,
    GlobalMaxPool,
    build_pooling,
)
from .precision import full_precision
from .pretrain import load_pretrained
from .resnet import ResNet, build_resnet_backbone

__all__ = [
    "BACKBONE_REGISTRY",
    "IBN",
    "META_ARCH_REGISTRY",
    "AdaptiveAvgMaxPool",
    "Backbone",
    "FrozenBatchNorm2d",
    "GeneralizedMeanPooling",
    "GeneralizedMeanPoolingP",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "ResNet",
    "build_backbone",
    "build_model",
    "build_pooling",
    "build_resnet_backbone",
    "full_precision",
    "get_norm",
    "load_pretrained",
]
