"""From the spec of a detector, the nested dicts of an mm config, to a detector."""

import logging
from collections.abc import Mapping
from typing import Any

from steploop.modeling.layers.norm import FrozenBatchNorm2d

from . import losses, mm_parts, samplers  # noqa: F401  importing them registers the parts
from .backbone import DetectionResNet
from .detectors import Detector, Pixels, SingleStageDetector, TwoStageDetector
from .registry import PART_REGISTRY

logger = logging.getLogger(__name__)

Spec = Mapping[str, Any]


@PART_REGISTRY.register(name="FasterRCNN")
def faster_rcnn(
    backbone: Spec,
    neck: Spec,
    rpn_head: Spec,
    roi_head: Spec,
    *,
    pixels: Pixels,
    train_cfg: Spec | None = None,
    test_cfg: Spec | None = None,
    pretrained: str | None = None,
    init_cfg: Any = None,
) -> TwoStageDetector:
    """Return a Faster R-CNN; without `train_cfg` it can only be tested."""
    train, test = train_cfg or {}, test_cfg or {}
    return TwoStageDetector(
        PART_REGISTRY.build(backbone),
        PART_REGISTRY.build(neck),
        PART_REGISTRY.build(
            rpn_head,
            train_cfg=train.get("rpn"),
            proposal_cfg=train.get("rpn_proposal"),
            test_cfg=test.get("rpn"),
        ),
        PART_REGISTRY.build(roi_head, train_cfg=train.get("rcnn"), test_cfg=test.get("rcnn")),
        pixels=pixels,
    )


@PART_REGISTRY.register(name="RetinaNet")
def retinanet(
    backbone: Spec,
    neck: Spec,
    bbox_head: Spec,
    *,
    pixels: Pixels,
    train_cfg: Spec | None = None,
    test_cfg: Spec | None = None,
    pretrained: str | None = None,
    init_cfg: Any = None,
) -> SingleStageDetector:
    """Return a RetinaNet; without `train_cfg` it can only be tested."""
    return SingleStageDetector(
        PART_REGISTRY.build(backbone),
        PART_REGISTRY.build(neck),
        PART_REGISTRY.build(bbox_head, train_cfg=train_cfg, test_cfg=test_cfg),
        pixels=pixels,
    )


def build_detector(spec: Spec, *, pixels: Pixels) -> Detector:
    """Build the detector that a spec describes, on the CPU, with random weights.

    Args:
        spec: ``{"type": "FasterRCNN", "backbone": {"type": "ResNet", ...}, ...}``, the ``model`` of an mm config.
        pixels: normalises images.

    Raises:
        UnknownKeyError: a "type" that is not registered.
        TypeError: arguments that a part does not take.
        ValueError: arguments with a value that is not supported.
    """
    detector: Detector = PART_REGISTRY.build(spec, pixels=pixels)
    return detector


def warn_of_fixed_random_statistics(detector: Detector, *, has_weights: bool) -> None:
    """Log a warning if a detector with random weights has a backbone that cannot learn to normalise."""
    backbone = detector.backbone
    fixed = isinstance(backbone, DetectionResNet) and (backbone.frozen_stages >= 0 or backbone.norm_eval)
    fixed = fixed or any(isinstance(module, FrozenBatchNorm2d) for module in backbone.modules())
    if fixed and not has_weights:
        logger.warning(
            "The backbone starts from random weights, but its normalisation is fixed (norm_eval=True or frozen_stages "
            ">= 0): training will hardly converge. Give weights (MODEL.WEIGHTS or MODEL.BACKBONE_WEIGHTS), or set "
            "norm_eval=False and frozen_stages=-1 in MODEL.SPEC.backbone."
        )
