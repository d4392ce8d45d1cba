"""The parts of a detector by MMDetection's names, each built from the arguments that its configs give it.

A function here knows the names of MMDetection 2.x, and the classes beside it take built objects.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from steploop.modeling import Backbone, ResNet
from steploop.modeling.backbones.fpn import FPN
from steploop.modeling.layers.boxes import BoxCoder

from .anchor_targets import Sampler, TargetMaker
from .anchors import Anchors, octave_scales
from .assigner import MaxIoUAssigner
from .bbox_head import BBoxHead
from .registry import PART_REGISTRY
from .retina_head import DetectionConfig, RetinaHead
from .roi_extractor import RoIExtractor
from .roi_head import RoIDetectionConfig, StandardRoIHead
from .rpn_head import ProposalConfig, RPNHead
from .samplers import PseudoSampler

logger = logging.getLogger(__name__)

Spec = Mapping[str, Any]
_FOCAL = ("FocalLoss",)
_STAGES = ("res2", "res3", "res4", "res5")
_L1 = {"type": "L1Loss", "loss_weight": 1.0}


@PART_REGISTRY.register(name="ResNet")
def resnet(
    depth: int,
    *,
    num_stages: int = 4,
    strides: Sequence[int] = (1, 2, 2, 2),
    dilations: Sequence[int] = (1, 1, 1, 1),
    out_indices: Sequence[int] = (0, 1, 2, 3),
    style: str = "pytorch",
    frozen_stages: int = -1,
    norm_cfg: Spec | None = None,
    norm_eval: bool = True,
    zero_init_residual: bool = True,
    base_channels: int = 64,
    pretrained: str | None = None,
    init_cfg: Any = None,
) -> Backbone:
    """Return a ResNet; weights that `pretrained` or `init_cfg` name are loaded by the trainer."""
    if tuple(strides[:num_stages]) != (1, 2, 2, 2)[:num_stages] or set(dilations) != {1}:
        raise ValueError(
            f"a ResNet has strides (1, 2, 2, 2) and no dilation here; came strides {tuple(strides)} and dilations "
            f"{tuple(dilations)}"
        )
    norm, trains = _norm(norm_cfg or {"type": "BN"})
    backbone = ResNet(
        depth,
        out_features=[_STAGES[index] for index in out_indices],
        frozen_stages=frozen_stages,
        norm_eval=norm_eval,
        style=style,
        norm=norm,
        zero_init_residual=zero_init_residual,
        width=base_channels,
    )
    if not trains:
        for name, parameter in backbone.named_parameters():
            if "bn" in name or ".downsample.1." in name:
                parameter.requires_grad_(False)
    return backbone


@PART_REGISTRY.register(name="FPN")
def fpn(
    in_channels: Sequence[int],
    out_channels: int,
    num_outs: int,
    *,
    start_level: int = 0,
    end_level: int = -1,
    add_extra_convs: bool | str = False,
    extra_convs_on_inputs: bool = True,
    relu_before_extra_convs: bool = False,
    no_norm_on_lateral: bool = False,
    norm_cfg: Spec | None = None,
    init_cfg: Any = None,
) -> FPN:
    """Return a feature pyramid."""
    if end_level != -1 or no_norm_on_lateral:
        raise ValueError("an FPN has end_level=-1 and no_norm_on_lateral=False here")
    if add_extra_convs is True:
        add_extra_convs = "on_input" if extra_convs_on_inputs else "on_output"
    return FPN(
        in_channels,
        out_channels,
        num_outs,
        start_level=start_level,
        extra_convs=add_extra_convs or "",
        relu_before_extra_convs=relu_before_extra_convs,
        norm=_norm(norm_cfg)[0] if norm_cfg else "",
    )


@PART_REGISTRY.register(name="AnchorGenerator")
def anchor_generator(
    strides: Sequence[int],
    ratios: Sequence[float],
    *,
    scales: Sequence[float] | None = None,
    octave_base_scale: float | None = None,
    scales_per_octave: int | None = None,
    base_sizes: Sequence[float] | None = None,
    level_sizes: Sequence[Sequence[float]] | None = None,
    center_offset: float = 0.0,
    scale_major: bool = True,
    rounded: bool = False,
    stride_from_image: bool = False,
) -> Anchors:
    """Return the anchors; `level_sizes`, `rounded` and `stride_from_image` are ours, for torchvision's."""
    if center_offset != 0 or not scale_major:
        raise ValueError("anchors have center_offset=0 and scale_major=True here")
    if level_sizes is None:
        if (scales is None) == (octave_base_scale is None):
            raise ValueError("an AnchorGenerator takes scales, or octave_base_scale with scales_per_octave")
        if scales is None:
            assert octave_base_scale is not None
            scales = octave_scales(octave_base_scale, scales_per_octave or 1)
        level_sizes = [[base * scale for scale in scales] for base in (base_sizes or strides)]
    return Anchors(strides, level_sizes, ratios, rounded=rounded, stride_from_image=stride_from_image)


@PART_REGISTRY.register(name="DeltaXYWHBBoxCoder")
def delta_coder(
    target_means: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    target_stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    *,
    clip_border: bool = True,
    add_ctr_clamp: bool = False,
    bounded_below: bool = True,
) -> BoxCoder:
    """Return the box coder; `bounded_below` is ours, False for what detectron2 and torchvision trained."""
    if add_ctr_clamp or not clip_border:
        raise ValueError("a DeltaXYWHBBoxCoder has clip_border=True and add_ctr_clamp=False here")
    return BoxCoder(target_means, target_stds, bounded_below=bounded_below)


@PART_REGISTRY.register(name="RPNHead")
def rpn_head(
    in_channels: int,
    feat_channels: int = 256,
    *,
    anchor_generator: Spec,
    bbox_coder: Spec | None = None,
    loss_cls: Spec | None = None,
    loss_bbox: Spec | None = None,
    num_convs: int = 1,
    num_classes: int = 1,
    train_cfg: Spec | None = None,
    proposal_cfg: Spec | None = None,
    test_cfg: Spec | None = None,
    init_cfg: Any = None,
) -> RPNHead:
    """Return the first stage; `train_cfg`, `proposal_cfg` and `test_cfg` come from the detector's."""
    if num_convs != 1 or num_classes != 1:
        raise ValueError("an RPNHead has num_convs=1 and num_classes=1 here")
    loss_cls = loss_cls or {"type": "CrossEntropyLoss", "use_sigmoid": True}
    if not loss_cls.get("use_sigmoid", False):
        raise ValueError("an RPNHead's loss_cls needs use_sigmoid=True here")
    anchors = PART_REGISTRY.build(anchor_generator)
    coder = PART_REGISTRY.build(bbox_coder or {"type": "DeltaXYWHBBoxCoder"})
    test = ProposalConfig(**proposal_config(test_cfg or {}))
    return RPNHead(
        in_channels,
        feat_channels,
        anchors=anchors,
        coder=coder,
        loss_cls=PART_REGISTRY.build(loss_cls),
        loss_bbox=PART_REGISTRY.build(loss_bbox or _L1),
        targets=_targets(train_cfg, anchors, coder, 1, loss_cls["type"]),
        train_proposals=ProposalConfig(**proposal_config(proposal_cfg)) if proposal_cfg else test,
        test_proposals=test,
    )


@PART_REGISTRY.register(name="RetinaHead")
def retina_head(
    num_classes: int,
    in_channels: int,
    *,
    stacked_convs: int = 4,
    feat_channels: int = 256,
    anchor_generator: Spec | None = None,
    bbox_coder: Spec | None = None,
    loss_cls: Spec | None = None,
    loss_bbox: Spec | None = None,
    norm_cfg: Spec | None = None,
    train_cfg: Spec | None = None,
    test_cfg: Spec | None = None,
    init_cfg: Any = None,
) -> RetinaHead:
    """Return RetinaNet's head."""
    anchors = PART_REGISTRY.build(
        anchor_generator
        or {
            "type": "AnchorGenerator",
            "octave_base_scale": 4,
            "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0],
            "strides": [8, 16, 32, 64, 128],
        }
    )
    coder = PART_REGISTRY.build(bbox_coder or {"type": "DeltaXYWHBBoxCoder"})
    loss_cls = loss_cls or {"type": "FocalLoss"}
    if loss_cls["type"] not in _FOCAL:
        raise ValueError(f"a RetinaHead's loss_cls is one of {', '.join(_FOCAL)}; came {loss_cls['type']!r}")
    return RetinaHead(
        num_classes,
        in_channels,
        feat_channels=feat_channels,
        stacked_convs=stacked_convs,
        anchors=anchors,
        coder=coder,
        loss_cls=PART_REGISTRY.build(loss_cls),
        loss_bbox=PART_REGISTRY.build(loss_bbox or _L1),
        targets=_targets(train_cfg, anchors, coder, num_classes, loss_cls["type"]),
        # Configs give min_bbox_size here, and MMDetection reads it in an RPN only.
        detection=DetectionConfig(**_without(_detection(test_cfg or {}, nms_pre=1000), "min_bbox_size")),
        norm=_norm(norm_cfg)[0] if norm_cfg else "",
    )


@PART_REGISTRY.register(name="SingleRoIExtractor")
def roi_extractor(
    roi_layer: Spec,
    out_channels: int,
    featmap_strides: Sequence[int],
    *,
    finest_scale: float = 56,
    init_cfg: Any = None,
) -> RoIExtractor:
    """Return the extractor; its `roi_layer` is a RoIAlign."""
    layer = dict(roi_layer)
    kind = layer.pop("type", None)
    if kind != "RoIAlign":
        raise ValueError(f"a SingleRoIExtractor's roi_layer is a RoIAlign here; came {kind!r}")
    sampling_ratio = layer.pop("sampling_ratio", layer.pop("sample_num", 0))
    return RoIExtractor(
        featmap_strides,
        layer.pop("output_size", layer.pop("out_size", 7)),
        sampling_ratio=sampling_ratio,
        finest_scale=finest_scale,
        **layer,
    )


@PART_REGISTRY.register(name="Shared2FCBBoxHead")
def shared_2fc_bbox_head(
    num_classes: int = 80,
    in_channels: int = 256,
    *,
    fc_out_channels: int = 1024,
    roi_feat_size: int = 7,
    bbox_coder: Spec | None = None,
    reg_class_agnostic: bool = False,
    loss_cls: Spec | None = None,
    loss_bbox: Spec | None = None,
    init_cfg: Any = None,
) -> BBoxHead:
    """Return the second stage's head."""
    coder = bbox_coder or {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}
    loss_cls = loss_cls or {"type": "CrossEntropyLoss", "use_sigmoid": False}
    if loss_cls.get("use_sigmoid", False) or loss_cls["type"] in _FOCAL:
        raise ValueError("a Shared2FCBBoxHead's loss_cls is a CrossEntropyLoss with use_sigmoid=False here")
    return BBoxHead(
        num_classes,
        in_channels,
        roi_feat_size=roi_feat_size,
        fc_out_channels=fc_out_channels,
        coder=PART_REGISTRY.build(coder),
        loss_cls=PART_REGISTRY.build(loss_cls),
        loss_bbox=PART_REGISTRY.build(loss_bbox or _L1),
        class_agnostic=reg_class_agnostic,
    )


@PART_REGISTRY.register(name="StandardRoIHead")
def standard_roi_head(
    bbox_roi_extractor: Spec,
    bbox_head: Spec,
    *,
    train_cfg: Spec | None = None,
    test_cfg: Spec | None = None,
    init_cfg: Any = None,
) -> StandardRoIHead:
    """Return the second stage; `train_cfg` and `test_cfg` come from the detector's."""
    detection = _detection(test_cfg or {})
    assigner = PART_REGISTRY.build(train_cfg["assigner"]) if train_cfg else None
    sampler = PART_REGISTRY.build(train_cfg["sampler"]) if train_cfg else None
    if train_cfg and train_cfg.get("pos_weight", -1) > 0:
        raise ValueError("train_cfg.rcnn.pos_weight is -1 here")
    return StandardRoIHead(
        PART_REGISTRY.build(bbox_roi_extractor),
        PART_REGISTRY.build(bbox_head),
        assigner=assigner,
        sampler=sampler,
        detection=RoIDetectionConfig(**_without(detection)),
    )


def proposal_config(config: Spec) -> dict[str, Any]:
    """Return the arguments of `ProposalConfig`, from either of MMDetection's spellings.

    Before 2.11 ``nms_thr``, ``nms_post`` and ``max_num`` stood for ``nms.iou_threshold`` and ``max_per_img``.
    """
    values = dict(config)
    if values.pop("nms_across_levels", False):
        raise ValueError("nms_across_levels=True is not supported: proposals are suppressed within each level")
    limits = [values.pop(name) for name in ("max_per_img", "max_num", "nms_post") if name in values]
    threshold = values.pop("nms_thr", 0.7)
    return {
        "nms_pre": values.pop("nms_pre", 1000),
        "max_per_img": min(limits) if limits else 1000,
        "nms": dict(values.pop("nms", {"type": "nms", "iou_threshold": threshold})),
        **values,
    }


def _detection(config: Spec, **defaults: Any) -> dict[str, Any]:
    values = {"score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100, **defaults}
    return {**values, **config, "nms": dict(config.get("nms", values["nms"]))}


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in ("debug", *names)}


def _targets(
    train_cfg: Spec | None, anchors: Anchors, coder: BoxCoder, num_classes: int, loss: str
) -> TargetMaker | None:
    if not train_cfg:
        return None
    # The focal loss weighs the boxes itself: nothing is drawn, whatever the config says.
    spec = train_cfg.get("sampler")
    sampler: Sampler = PseudoSampler() if spec is None or loss in _FOCAL else PART_REGISTRY.build(spec)
    assigner: MaxIoUAssigner = PART_REGISTRY.build(train_cfg["assigner"])
    return TargetMaker(
        anchors,
        coder,
        assigner=assigner,
        sampler=sampler,
        num_classes=num_classes,
        allowed_border=train_cfg.get("allowed_border", -1),
        pos_weight=train_cfg.get("pos_weight", -1),
    )


def _norm(norm_cfg: Spec) -> tuple[str, bool]:
    """Return the name of a normalisation and whether its weights train."""
    values = dict(norm_cfg)
    kind, trains = values.pop("type", "BN"), values.pop("requires_grad", True)
    if values.pop("num_groups", 32) != 32 or values:
        raise ValueError(f"norm_cfg holds type and requires_grad (and num_groups=32); came {dict(norm_cfg)}")
    return kind, trains
