"""The names that other libraries give the weights of these two models, and how their rows are ordered."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .coco_classes import COCO_IDS

Rules = tuple[tuple[str, str], ...]

_TORCHVISION: Rules = (
    (r"backbone\.body\.(.*)", r"backbone.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d+)\.(?:0\.)?(weight|bias)", r"neck.lateral_convs.\1.conv.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d+)\.(?:0\.)?(weight|bias)", r"neck.fpn_convs.\1.conv.\2"),
    (r"backbone\.fpn\.extra_blocks\.p6\.(.*)", r"neck.fpn_convs.3.conv.\1"),
    (r"backbone\.fpn\.extra_blocks\.p7\.(.*)", r"neck.fpn_convs.4.conv.\1"),
    (r"rpn\.head\.conv\.(?:0\.0\.)?(weight|bias)", r"rpn_head.rpn_conv.\1"),
    (r"rpn\.head\.cls_logits\.(.*)", r"rpn_head.rpn_cls.\1"),
    (r"rpn\.head\.bbox_pred\.(.*)", r"rpn_head.rpn_reg.\1"),
    (r"roi_heads\.box_head\.fc6\.(.*)", r"roi_head.bbox_head.shared_fcs.0.\1"),
    (r"roi_heads\.box_head\.fc7\.(.*)", r"roi_head.bbox_head.shared_fcs.1.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.(.*)", r"roi_head.bbox_head.fc_cls.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(.*)", r"roi_head.bbox_head.fc_reg.\1"),
    (r"head\.classification_head\.conv\.(\d+)\.0\.(.*)", r"bbox_head.cls_convs.\1.conv.\2"),
    (r"head\.regression_head\.conv\.(\d+)\.0\.(.*)", r"bbox_head.reg_convs.\1.conv.\2"),
    (r"head\.classification_head\.cls_logits\.(.*)", r"bbox_head.retina_cls.\1"),
    (r"head\.regression_head\.bbox_reg\.(.*)", r"bbox_head.retina_reg.\1"),
)
# Before torchvision 0.13 the towers were Sequential(conv, relu, conv, relu, ...).
_OLD_TOWER = re.compile(r"head\.(classification|regression)_head\.conv\.(\d+)\.(weight|bias)")
_DETECTRON2: Rules = (
    (r"backbone\.bottom_up\.stem\.conv1\.weight", r"backbone.conv1.weight"),
    (r"backbone\.bottom_up\.stem\.conv1\.norm\.(.*)", r"backbone.bn1.\1"),
    (r"proposal_generator\.rpn_head\.conv\.(.*)", r"rpn_head.rpn_conv.\1"),
    (r"proposal_generator\.rpn_head\.objectness_logits\.(.*)", r"rpn_head.rpn_cls.\1"),
    (r"proposal_generator\.rpn_head\.anchor_deltas\.(.*)", r"rpn_head.rpn_reg.\1"),
    (r"roi_heads\.box_head\.fc1\.(.*)", r"roi_head.bbox_head.shared_fcs.0.\1"),
    (r"roi_heads\.box_head\.fc2\.(.*)", r"roi_head.bbox_head.shared_fcs.1.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.(.*)", r"roi_head.bbox_head.fc_cls.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(.*)", r"roi_head.bbox_head.fc_reg.\1"),
    (r"head\.cls_score\.(.*)", r"bbox_head.retina_cls.\1"),
    (r"head\.bbox_pred\.(.*)", r"bbox_head.retina_reg.\1"),
    (r"backbone\.top_block\.p6\.(.*)", r"neck.fpn_convs.3.conv.\1"),
    (r"backbone\.top_block\.p7\.(.*)", r"neck.fpn_convs.4.conv.\1"),
)
_D2_BLOCK = re.compile(r"backbone\.bottom_up\.res(\d)\.(\d+)\.(shortcut|conv\d)\.(norm\.)?(.*)")
_D2_FPN = re.compile(r"backbone\.fpn_(lateral|output)(\d)\.(.*)")
_D2_TOWER = re.compile(r"head\.(cls|bbox)_subnet\.(\d+)\.(.*)")
_D2_IGNORED = re.compile(r"(pixel_mean|pixel_std|.*anchor_generator\.cell_anchors.*)")
# The ratio is our outer loop over the anchors of a cell, and detectron2's inner one.
_SCALES, _RATIOS = 3, 3


class Converted(NamedTuple):
    """Weights under our names.

    Attributes:
        weights: name to tensor.
        changed: names whose rows were reordered, with what was done.
        unknown: names of the file that no rule knows.
    """

    weights: dict[str, Tensor]
    changed: dict[str, str]
    unknown: list[str]


def family_of(names: Iterable[str]) -> str:
    """Return whose names they are: "mmdet" (which are ours), "torchvision" or "detectron2"."""
    for name in names:
        if name.startswith(("backbone.body.", "rpn.head.", "head.classification_head.")):
            return "torchvision"
        if name.startswith(("backbone.bottom_up.", "proposal_generator.")):
            return "detectron2"
    return "mmdet"


def convert(state: Mapping[str, Tensor], num_classes: int) -> Converted:
    """Return the weights under our names, their rows in our order.

    Args:
        state: of a Faster R-CNN or a RetinaNet, in mmdet's, torchvision's (old or new) or detectron2's names.
        num_classes: of the model: 90 keeps all of torchvision's category ids 1 to 90; else COCO's 80 are taken.
    """
    family = family_of(state)
    if family == "mmdet":
        return Converted(dict(state), {}, [])
    weights: dict[str, Tensor] = {}
    unknown: list[str] = []
    # RetinaNet's pyramid starts at the second stage.
    first_level = 3 if any(name.startswith("head.") for name in state) else 2
    for name, value in state.items():
        new = _torchvision_name(name) if family == "torchvision" else _detectron2_name(name, first_level)
        if new:
            weights[new] = value
        elif not _D2_IGNORED.fullmatch(name):
            unknown.append(name)
    reorder = _torchvision_rows if family == "torchvision" else _detectron2_rows
    changed = reorder(weights, num_classes)
    return Converted(weights, changed, unknown)


def _torchvision_name(name: str) -> str | None:
    tower = _OLD_TOWER.fullmatch(name)
    if tower:
        kind = "cls" if tower[1] == "classification" else "reg"
        return f"bbox_head.{kind}_convs.{int(tower[2]) // 2}.conv.{tower[3]}"
    return _by_rules(name, _TORCHVISION)


def _detectron2_name(name: str, first_level: int) -> str | None:
    if block := _D2_BLOCK.fullmatch(name):
        stage, number, part, norm, rest = block.groups()
        prefix = f"backbone.layer{int(stage) - 1}.{number}"
        if part == "shortcut":
            return f"{prefix}.downsample.{1 if norm else 0}.{rest}"
        return f"{prefix}.{part.replace('conv', 'bn') if norm else part}.{rest}"
    if level := _D2_FPN.fullmatch(name):
        return (
            f"neck.{'lateral' if level[1] == 'lateral' else 'fpn'}_convs.{int(level[2]) - first_level}.conv.{level[3]}"
        )
    if tower := _D2_TOWER.fullmatch(name):
        return f"bbox_head.{'cls' if tower[1] == 'cls' else 'reg'}_convs.{int(tower[2]) // 2}.conv.{tower[3]}"
    return _by_rules(name, _DETECTRON2)


def _by_rules(name: str, rules: Rules) -> str | None:
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return None


def _torchvision_rows(weights: dict[str, Tensor], num_classes: int) -> dict[str, str]:
    """Take the rows of COCO's category ids, 1 to 90, of which row 0 is the background (unused in RetinaNet)."""
    changed = {}
    for name, value in list(weights.items()):
        if name.startswith("roi_head.bbox_head.fc_cls."):
            rows = [*_ids(len(value), num_classes), 0]
            weights[name] = value[rows]
        elif name.startswith("roi_head.bbox_head.fc_reg."):
            grouped = value.reshape(-1, 4, *value.shape[1:])
            rows = _ids(len(grouped), num_classes)
            weights[name] = grouped[rows].flatten(0, 1)
        elif name.startswith("bbox_head.retina_cls."):
            grouped = value.reshape(_SCALES * _RATIOS, -1, *value.shape[1:])
            rows = _ids(grouped.shape[1], num_classes)
            weights[name] = grouped[:, rows].flatten(0, 1)
        else:
            continue
        changed[name] = "rows of the category ids, the background last" if "fc_cls" in name else "rows of the ids"
    return changed


def _ids(rows: int, num_classes: int) -> list[int]:
    """Return the rows of our labels among `rows` of torchvision's: its own classes but the background, COCO's 80."""
    if rows == 91 and num_classes != 90:
        return list(COCO_IDS)
    return list(range(1, rows))


def _detectron2_rows(weights: dict[str, Tensor], num_classes: int) -> dict[str, str]:
    """Order the anchors of a cell of RetinaNet as ours."""
    changed = {}
    ours = [scale * _RATIOS + ratio for ratio in range(_RATIOS) for scale in range(_SCALES)]
    for name, value in list(weights.items()):
        if name.startswith(("bbox_head.retina_cls.", "bbox_head.retina_reg.")):
            grouped = value.reshape(_SCALES * _RATIOS, -1, *value.shape[1:])
            weights[name] = grouped[torch.tensor(ours)].flatten(0, 1)
            changed[name] = "anchors of a cell in our order"
    return changed
