"""From nested dicts with "type", MMAction2's `model`, to a model."""

from collections.abc import Mapping
from typing import Any

from steploop.config import CfgNode, ConfigError, Registry
from steploop.modeling import META_ARCH_REGISTRY, PretrainedWeights

from .heads import I3DHead, SlowFastHead
from .inflate import inflate_2d
from .losses import BCELossWithLogits, CrossEntropyLoss
from .recognizer import Recognizer3D
from .resnet3d import ResNet3d
from .slowfast import ResNet3dSlowFast, without_fixed

BACKBONES = Registry("ACTION_BACKBONE")
"""Backbones by MMAction2's names: clips (N, C, T, H, W) to the features that a head takes."""
HEADS = Registry("ACTION_HEAD")
"""Heads by MMAction2's names."""
LOSSES = Registry("ACTION_LOSS")
"""Losses by MMAction2's names."""

BACKBONES.register(ResNet3dSlowFast)
HEADS.register(I3DHead)
HEADS.register(SlowFastHead)
LOSSES.register(CrossEntropyLoss)
LOSSES.register(BCELossWithLogits)


@BACKBONES.register(name="ResNet3dSlowOnly")
def slow_only(depth: int, lateral: bool = False, **settings: Any) -> ResNet3d:
    """Return SlowOnly's backbone: `ResNet3d` with a 1x7x7 stem, whose last two stages see three frames."""
    if lateral:
        raise ValueError("lateral=True belongs to a pathway of SlowFast; SlowOnly has none")
    defaults = {"conv1_kernel": (1, 7, 7), "inflate": (0, 0, 1, 1)}
    return ResNet3d(depth, **{**defaults, **settings})


def build_recognizer(spec: Mapping[str, Any], **settings: Any) -> Recognizer3D:
    """Return the recognizer of `spec`, with random weights.

    Args:
        spec: {"type": "Recognizer3D", "backbone": {...}, "cls_head": {...}, "test_cfg": {...}}.
        settings: of `Recognizer3D`, such as pixel_mean.

    Raises:
        ConfigError: the spec lacks a part, or has one that is not supported.
        KeyError, TypeError, ValueError: an unknown type, or wrong arguments of one.
    """
    rest = dict(spec)
    kind = rest.pop("type", None)
    if kind != "Recognizer3D":
        raise ConfigError(f"the type of the model (MODEL.SPEC.type) is Recognizer3D; came {kind!r}")
    test_cfg, train_cfg = rest.pop("test_cfg", None) or {}, rest.pop("train_cfg", None)
    try:
        backbone, head = rest.pop("backbone"), dict(rest.pop("cls_head"))
    except KeyError as error:
        raise ConfigError(f"MODEL.SPEC has no {error}: a Recognizer3D has a backbone and a cls_head") from None
    if train_cfg or any(value is not None for value in rest.values()):
        raise ConfigError(f"MODEL.SPEC: {', '.join(rest) or 'train_cfg'} is not supported")
    if not settings.get("max_testing_views"):
        settings["max_testing_views"] = test_cfg.get("max_testing_views") or 0
    return Recognizer3D(BACKBONES.build(without_fixed(backbone)), _head(head), **settings)


def _head(head: dict[str, Any]) -> I3DHead:
    multi_class, smoothing = head.pop("multi_class", False), head.pop("label_smooth_eps", 0.0)
    if head.pop("spatial_type", "avg") != "avg":
        raise ConfigError("cls_head.spatial_type is 'avg'; other poolings are not supported")
    loss = dict(head.pop("loss_cls", None) or head.pop("loss", None) or {"type": "CrossEntropyLoss"})
    if multi_class and loss["type"] == "CrossEntropyLoss":
        loss["type"] = "BCELossWithLogits"
    if smoothing:
        loss["label_smooth_eps"] = smoothing
    built: I3DHead = HEADS.build({**head, "loss": LOSSES.build(loss)})
    return built


@META_ARCH_REGISTRY.register(name="Recognizer")
def recognizer_from_config(cfg: CfgNode) -> Recognizer3D:
    """Return the recognizer of MODEL.SPEC, with MODEL.PIXEL_MEAN, PIXEL_STD, NUM_CLASSES and TEST.MAX_VIEWS.

    MODEL.BACKBONE_WEIGHTS is noted as what a new run starts from; it is not read here.

    Raises:
        ConfigError: MODEL.SPEC is empty or not supported.
    """
    spec = cfg.MODEL.SPEC.to_dict()
    if "type" not in spec:
        raise ConfigError("MODEL.SPEC is empty: it describes the model, as the `model` of an MMAction2 config does")
    if cfg.MODEL.NUM_CLASSES:
        spec["cls_head"] = {**spec["cls_head"], "num_classes": cfg.MODEL.NUM_CLASSES}
    recognizer = build_recognizer(
        spec, pixel_mean=cfg.MODEL.PIXEL_MEAN, pixel_std=cfg.MODEL.PIXEL_STD, max_testing_views=cfg.TEST.MAX_VIEWS
    )
    if cfg.MODEL.BACKBONE_WEIGHTS:
        recognizer.backbone.pretrained = PretrainedWeights(  # type: ignore[assignment]
            cfg.MODEL.BACKBONE_WEIGHTS, ignore=("fc.",), convert=inflate_2d
        )
    return recognizer
