"""Builds networks from a config: the two registries and the functions that use them."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from steploop.config import CfgNode, Registry, resolve_device

from .pretrained import PretrainedWeights

META_ARCH_REGISTRY = Registry("META_ARCH")
"""Whole models, by class name. They are called with the config and follow the model contract of the engine.

In training mode, ``model(batch)`` returns a dict of 0-d losses, or ``(losses, metrics)``; in eval mode, the input of an
evaluator.
"""

BACKBONE_REGISTRY = Registry("BACKBONE")
"""Functions that build feature extractors, by name: called with the config, they return a `Backbone`."""


class ShapeSpec(NamedTuple):
    """The shape of one output of a backbone.

    Attributes:
        channels: C of (N, C, H, W).
        stride: pixels of the image per cell of the output, along each axis.
    """

    channels: int
    stride: int


class Backbone(nn.Module, ABC):
    """A module that maps normalised images (N, C, H, W) to named feature maps.

    A subclass implements `forward` and `output_shape`. Both have the same names in the same order, from fine to coarse.
    Stages of a ResNet are "stem", "res2", ..., "res5"; other networks use these names for stages of the same stride, so
    that necks and heads work with any backbone.

    Attributes:
        pretrained: the weight file that it starts from, set by its builder; None: it starts from random weights.
    """

    pretrained: PretrainedWeights | None = None

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the feature maps (N, channels, H / stride, W / stride) by name; the network's rounding applies."""

    @abstractmethod
    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the channels and the stride of each output, by name, without a forward pass."""

    @property
    def last_output(self) -> str:
        """The name of the last (coarsest) output, which a model with a single feature map uses."""
        return next(reversed(self.output_shape()))


def build_model(cfg: CfgNode) -> nn.Module:
    """Build the model that MODEL.META_ARCHITECTURE names, on MODEL.DEVICE; its weights are not loaded.

    Raises:
        KeyError: no model of that name is registered.
        ValueError: MODEL.DEVICE is not available.
    """
    device = resolve_device(cfg.MODEL.DEVICE)
    model: nn.Module = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return model.to(device)


def build_backbone(cfg: CfgNode) -> Backbone:
    """Build the backbone that MODEL.BACKBONE.NAME names, on the CPU.

    Raises:
        KeyError: no backbone of that name is registered.
    """
    backbone: Backbone = BACKBONE_REGISTRY.get(cfg.MODEL.BACKBONE.NAME)(cfg)
    return backbone
