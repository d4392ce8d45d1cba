"""Specs of detectors: the published ones, and one that is small enough for a test."""

import copy

RPN_ASSIGNER = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.7, "neg_iou_thr": 0.3, "min_pos_iou": 0.3}
RCNN_ASSIGNER = {**RPN_ASSIGNER, "pos_iou_thr": 0.5, "neg_iou_thr": 0.5, "min_pos_iou": 0.5}
RCNN_ASSIGNER["match_low_quality"] = False
NMS7, NMS5 = {"type": "nms", "iou_threshold": 0.7}, {"type": "nms", "iou_threshold": 0.5}


def backbone(**options):
    return {"type": "ResNet", "depth": 50, "frozen_stages": 1, "norm_eval": True, **options}


def faster_rcnn(num_classes=80, **overrides):
    """Return the spec of Faster R-CNN R50-FPN."""
    spec = {
        "type": "FasterRCNN",
        "backbone": backbone(),
        "neck": {"type": "FPN", "in_channels": [256, 512, 1024, 2048], "out_channels": 256, "num_outs": 5},
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": 256,
            "feat_channels": 256,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [8],
                "ratios": [0.5, 1.0, 2.0],
                "strides": [4, 8, 16, 32, 64],
            },
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": {
                "type": "SingleRoIExtractor",
                "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0},
                "out_channels": 256,
                "featmap_strides": [4, 8, 16, 32],
            },
            "bbox_head": {"type": "Shared2FCBBoxHead", "num_classes": num_classes, "in_channels": 256},
        },
        "train_cfg": {
            "rpn": {
                "assigner": RPN_ASSIGNER,
                "sampler": {"type": "RandomSampler", "num": 256, "pos_fraction": 0.5, "add_gt_as_proposals": False},
                "allowed_border": -1,
                "pos_weight": -1,
                "debug": False,
            },
            "rpn_proposal": {"nms_pre": 2000, "max_per_img": 1000, "nms": NMS7, "min_bbox_size": 0},
            "rcnn": {
                "assigner": RCNN_ASSIGNER,
                "sampler": {"type": "RandomSampler", "num": 512, "pos_fraction": 0.25, "add_gt_as_proposals": True},
                "pos_weight": -1,
                "debug": False,
            },
        },
        "test_cfg": {
            "rpn": {"nms_pre": 1000, "max_per_img": 1000, "nms": NMS7, "min_bbox_size": 0},
            "rcnn": {"score_thr": 0.05, "nms": NMS5, "max_per_img": 100},
        },
    }
    return changed(spec, overrides)


def retinanet(num_classes=80, **overrides):
    """Return the spec of RetinaNet R50-FPN."""
    spec = {
        "type": "RetinaNet",
        "backbone": backbone(),
        "neck": {
            "type": "FPN",
            "in_channels": [256, 512, 1024, 2048],
            "out_channels": 256,
            "start_level": 1,
            "add_extra_convs": "on_input",
            "num_outs": 5,
        },
        "bbox_head": {"type": "RetinaHead", "num_classes": num_classes, "in_channels": 256},
        "train_cfg": {
            "assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0},
            "allowed_border": -1,
            "pos_weight": -1,
            "debug": False,
        },
        "test_cfg": {"nms_pre": 1000, "min_bbox_size": 0, "score_thr": 0.05, "nms": NMS5, "max_per_img": 100},
    }
    return changed(spec, overrides)


def tiny(kind, num_classes=3, **overrides):
    """Return the spec of a detector that a test can train: ResNet-18 of width 8, levels of 16 channels."""
    common = {
        "backbone.depth": 18,
        "backbone.base_channels": 8,
        "backbone.frozen_stages": -1,
        "backbone.norm_eval": False,
        "neck.in_channels": [8, 16, 32, 64],
        "neck.out_channels": 16,
    }
    if kind == "retinanet":
        head = {"bbox_head.in_channels": 16, "bbox_head.feat_channels": 16, "bbox_head.stacked_convs": 1}
        return retinanet(num_classes, **{**common, **head, **overrides})
    head = {
        "rpn_head.in_channels": 16,
        "rpn_head.feat_channels": 16,
        "rpn_head.anchor_generator.scales": [4],
        "roi_head.bbox_roi_extractor.out_channels": 16,
        "roi_head.bbox_head.in_channels": 16,
        "roi_head.bbox_head.fc_out_channels": 32,
        "train_cfg.rcnn.sampler.num": 32,
        "train_cfg.rpn_proposal.nms_pre": 100,
        "train_cfg.rpn_proposal.max_per_img": 50,
        "test_cfg.rpn.max_per_img": 50,
    }
    return faster_rcnn(num_classes, **{**common, **head, **overrides})


def changed(spec, overrides):
    """Return a copy of the spec with values at dotted names replaced."""
    spec = copy.deepcopy(spec)
    for dotted, value in overrides.items():
        *path, last = dotted.split(".")
        node = spec
        for part in path:
            node = node[part]
        node[last] = value
    return spec
