"""From a config to a network: the two registries and the functions that build from them."""

from torch import nn

from steploop.config import CfgNode, Registry, resolve_device

META_ARCH_REGISTRY = Registry("META_ARCH")
"""Whole models, by class name: called with the config, they obey the model contract of the engine.

In train mode ``model(batch)`` returns a dict of 0-d losses, or ``(losses, metrics)``; in eval mode what an evaluator
takes.
"""

BACKBONE_REGISTRY = Registry("BACKBONE")
"""Feature extractors, by function name: called with the config, they return a `Backbone`."""


class Backbone(nn.Module):
    """A module that maps normalised images (B, 3, H, W) to features (B, out_channels, H', W').

    Attributes:
        out_channels: set by the subclass.
    """

    out_channels: int


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
