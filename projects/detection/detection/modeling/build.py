"""From the spec of a detector, the nested dicts of an mm config, to a detector."""

from collections.abc import Mapping
from typing import Any

from . import losses, mm_parts, samplers  # noqa: F401  importing them registers the parts
from .detectors import Detector, Pixels, SingleStageDetector, TwoStageDetector
from .registry import PART_REGISTRY

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
