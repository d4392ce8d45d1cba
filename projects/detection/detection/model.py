"""From a config to a detector, and to its weights."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from steploop.config import CfgNode, ConfigError
from steploop.modeling import META_ARCH_REGISTRY, PretrainedWeights

from .flavours import FLAVOURS, flavoured, flavoured_pixels
from .modeling import Pixels, build_detector
from .weights import describe_weights

logger = logging.getLogger(__name__)

_HEADS = ("bbox_head", "roi_head")


@META_ARCH_REGISTRY.register(name="Detector")
def detector_from_config(cfg: CfgNode) -> nn.Module:
    """Return the detector of MODEL.SPEC, with random weights.

    BACKBONE_WEIGHTS is noted as what a new run starts from; it is not read here.

    Raises:
        ConfigError: MODEL.SPEC is empty, or a setting has a value that is not known.
    """
    spec = cfg.MODEL.SPEC.to_dict()
    if "type" not in spec:
        raise ConfigError("MODEL.SPEC is empty: it describes the detector, as the `model` of an mm config does")
    if cfg.MODEL.PIXEL_ORDER not in ("RGB", "BGR"):
        raise ConfigError(f"MODEL.PIXEL_ORDER is RGB or BGR; came {cfg.MODEL.PIXEL_ORDER!r}")
    flavour = flavour_of(cfg)
    pixels = {
        "mean": cfg.MODEL.PIXEL_MEAN,
        "std": cfg.MODEL.PIXEL_STD,
        "to_rgb": cfg.MODEL.PIXEL_ORDER == "RGB",
    }
    if cfg.MODEL.NUM_CLASSES:
        set_num_classes(spec, cfg.MODEL.NUM_CLASSES)
    detector = build_detector(flavoured(spec, flavour), pixels=Pixels(**flavoured_pixels(pixels, flavour)))
    if cfg.MODEL.BACKBONE_WEIGHTS:
        detector.backbone.pretrained = PretrainedWeights(cfg.MODEL.BACKBONE_WEIGHTS, ignore=("fc.",))
    elif not cfg.MODEL.WEIGHTS:
        _warn_of_fixed_random_statistics(spec["backbone"])
    return detector


def flavour_of(cfg: CfgNode) -> str:
    """Return MODEL.FLAVOUR; for "auto" that of the names in MODEL.WEIGHTS, and "mmdet" where that is not set.

    Raises:
        ConfigError: it is unknown, or "auto" and the file of MODEL.WEIGHTS is not there any more.
    """
    flavour = cfg.MODEL.FLAVOUR
    if flavour != "auto":
        if flavour not in FLAVOURS:
            raise ConfigError(f"MODEL.FLAVOUR is auto or one of {', '.join(FLAVOURS)}; came {flavour!r}")
        return str(flavour)
    if not cfg.MODEL.WEIGHTS:
        return "mmdet"
    if not Path(cfg.MODEL.WEIGHTS).is_file():
        raise ConfigError(
            f"there is no file {cfg.MODEL.WEIGHTS} (MODEL.WEIGHTS). A finished run is resumed without it where "
            "MODEL.FLAVOUR says whose weights it held"
        )
    return describe_weights(cfg.MODEL.WEIGHTS).family


def _warn_of_fixed_random_statistics(backbone: dict[str, Any]) -> None:
    """Log a warning if a backbone with random weights cannot learn to normalise."""
    norm = (backbone.get("norm_cfg") or {}).get("type", "BN")
    if norm != "GN" and (
        backbone.get("frozen_stages", -1) >= 0 or backbone.get("norm_eval", True) or norm == "FrozenBN"
    ):
        logger.warning(
            "The backbone starts from random weights, but its normalisation is fixed (norm_eval=True or frozen_stages "
            ">= 0): training will hardly converge. Give weights (MODEL.WEIGHTS or MODEL.BACKBONE_WEIGHTS), or set "
            "norm_eval=False and frozen_stages=-1 in MODEL.SPEC.backbone"
        )


def num_classes_in(spec: dict[str, Any]) -> int | None:
    """Return the number of classes that a spec gives its head, or None."""
    head = _head(spec)
    return None if head is None else head.get("num_classes")


def set_num_classes(spec: dict[str, Any], count: int) -> None:
    """Set the number of classes of a spec's head, in place."""
    head = _head(spec)
    if head is not None:
        head["num_classes"] = count


def _head(spec: dict[str, Any]) -> dict[str, Any] | None:
    for name in _HEADS:
        if isinstance(spec.get(name), dict):
            head = spec[name].get("bbox_head", spec[name])
            return head if isinstance(head, dict) else None
    return None
