"""What a detector must do otherwise to give the detections of the library that trained its weights."""

import copy
from collections.abc import Mapping
from typing import Any

FLAVOURS = ("mmdet", "torchvision", "detectron2")
Spec = dict[str, Any]

_CAFFE_PIXELS = {"mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0], "to_rgb": False}
_TORCHVISION_SIZES = [[side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))] for side in (32, 64, 128, 256, 512)]


def flavoured(spec: Mapping[str, Any], flavour: str) -> Spec:
    """Return the spec of a Faster R-CNN or RetinaNet as that library computes it.

    Args:
        spec: the ``model`` of an mm config; not changed.
        flavour: "mmdet" changes nothing; "torchvision" and "detectron2".

    Raises:
        ValueError: the flavour is another.
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"MODEL.FLAVOUR is one of {', '.join(FLAVOURS)} (or auto); came {flavour!r}")
    changed: Spec = copy.deepcopy(dict(spec))
    if flavour == "mmdet":
        return changed
    two_stages = "rpn_head" in changed
    if flavour == "torchvision":
        (_torchvision_faster_rcnn if two_stages else _torchvision_retinanet)(changed)
    else:
        changed["backbone"]["style"] = "caffe"
        if not two_stages:
            changed["neck"]["relu_before_extra_convs"] = True
            changed["test_cfg"]["clip_after_nms"] = True
    for assigner in _assigners(changed):
        assigner["keep_own_best"] = True
    for head in _heads_with_coders(changed):
        # detectron2 and torchvision bound a decoded side from above only.
        head["bbox_coder"] = {**(head.get("bbox_coder") or _default_coder(head)), "bounded_below": False}
    return changed


def flavoured_pixels(pixels: Mapping[str, Any], flavour: str) -> dict[str, Any]:
    """Return mean, std and order of the channels that the library normalises with; `pixels` where it is mmdet."""
    return dict(_CAFFE_PIXELS) if flavour == "detectron2" else dict(pixels)


def _torchvision_faster_rcnn(spec: Spec) -> None:
    anchors = spec["rpn_head"]["anchor_generator"]
    anchors.update(rounded=True, stride_from_image=True)
    spec["roi_head"]["bbox_roi_extractor"]["roi_layer"].update(sampling_ratio=2, aligned=False)
    test = spec["test_cfg"]
    test["rpn"] = {**test["rpn"], "nms_pre": 1000, "max_per_img": 1000, "min_bbox_size": 1e-3}
    test["rcnn"] = {**test["rcnn"], "min_bbox_size": 1e-2}


def _torchvision_retinanet(spec: Spec) -> None:
    spec["neck"].update(add_extra_convs="on_output", relu_before_extra_convs=True)
    strides = [8, 16, 32, 64, 128]
    spec["bbox_head"]["anchor_generator"] = {
        "type": "AnchorGenerator",
        "strides": strides,
        "ratios": [0.5, 1.0, 2.0],
        "level_sizes": _TORCHVISION_SIZES,
        "rounded": True,
        "stride_from_image": True,
    }
    spec["test_cfg"].update(nms_pre=1000, max_per_img=300)


def _heads_with_coders(spec: Spec) -> list[Spec]:
    if "rpn_head" in spec:
        return [spec["rpn_head"], spec["roi_head"]["bbox_head"]]
    return [spec["bbox_head"]]


def _assigners(spec: Spec) -> list[Spec]:
    train = spec.get("train_cfg") or {}
    return [part["assigner"] for part in (train, train.get("rpn"), train.get("rcnn")) if part and "assigner" in part]


def _default_coder(head: Spec) -> Spec:
    stds = [0.1, 0.1, 0.2, 0.2] if head["type"] == "Shared2FCBBoxHead" else [1.0, 1.0, 1.0, 1.0]
    return {"type": "DeltaXYWHBBoxCoder", "target_stds": stds}
