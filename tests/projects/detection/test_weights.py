import functools
import re

import pytest
import torch

from detection_golden import (
    MEAN,
    SIZE,
    STD,
    close,
    figures,
    recipe_images,
    recipe_weights,
    reference_pixels,
    same_detections,
)
from detection_specs import faster_rcnn, retinanet, tiny
from shared_files import shared
from steploop.engine.checkpoint import load_weights
from steploop.projects.detection.checkpoint_names import convert, family_of
from steploop.projects.detection.coco_classes import COCO_CLASSES, COCO_IDS
from steploop.projects.detection.flavours import flavoured, flavoured_pixels
from steploop.projects.detection.modeling import Pixels, build_detector
from steploop.projects.detection.modeling.detectors import image_size
from steploop.projects.detection.modeling.structures import truth_of, view_of
from steploop.projects.detection.weights import describe_weights, detector_converter

ROLES = {
    "rpn.head.cls_logits": "rpn_cls",
    "objectness_logits": "rpn_cls",
    "rpn.head.bbox_pred": "rpn_reg",
    "anchor_deltas": "rpn_reg",
    "roi_heads.box_predictor.cls_score": "fc_cls",
    "roi_heads.box_predictor.bbox_pred": "fc_reg",
    "classification_head.cls_logits": "retina_cls",
    "regression_head.bbox_reg": "retina_reg",
    "head.cls_score": "retina_cls",
    "head.bbox_pred": "retina_reg",
}
FILES = {
    ("torchvision", "faster_rcnn"): "torchvision_fasterrcnn_resnet50_fpn",
    ("torchvision", "retinanet"): "torchvision_retinanet_resnet50_fpn",
    ("detectron2", "faster_rcnn"): "detectron2_faster_rcnn_R_50_FPN",
    ("detectron2", "retinanet"): "detectron2_retinanet_R_50_FPN",
}


def role(name):
    return next((ours for theirs, ours in ROLES.items() if theirs in name), name)


@functools.cache
def source_state(family, kind):
    """Return the golden weights under the library's own names."""
    lines = shared(f"golden/detection/state_dicts/{FILES[family, kind]}.txt").read_text().splitlines()
    shapes = {}
    for line in lines:
        name, shape = re.fullmatch(r"(\S+) \(([\d, ]*)\)", line.strip()).groups()
        sides = [int(side) for side in shape.split(",") if side.strip()]
        is_count = name.endswith("num_batches_tracked")
        shapes[name] = torch.zeros(sides, dtype=torch.long if is_count else torch.float32)
    return recipe_weights(shapes, role=role)


@functools.cache
def converted_detector(family, kind):
    num_classes = 90 if family == "torchvision" else 80
    spec = (faster_rcnn if kind == "faster_rcnn" else retinanet)(num_classes)
    pixels = flavoured_pixels({"mean": MEAN, "std": STD}, family)
    if family == "detectron2":  # the golden image was made for this mean
        pixels["mean"] = MEAN[::-1]
    detector = build_detector(flavoured(spec, family), pixels=Pixels(**pixels)).eval()
    report = load_weights(detector, source_state(family, kind), convert=detector_converter(num_classes))
    assert report.is_exact
    return detector


def golden_input(family):
    image = recipe_images(1)
    if family == "detectron2":
        mean = torch.tensor(MEAN).view(3, 1, 1)
        return {"image": (image - mean) / 57 + mean, "scale": [(0.5, 0.5)]}
    return {"image": image}


@pytest.mark.parametrize(("family", "kind"), list(FILES))
@torch.no_grad()
def test_a_converted_model_gives_the_detections_of_its_source(family, kind):
    gold = figures(f"{family}_detections")
    name = "fasterrcnn" if (family, kind) == ("torchvision", "faster_rcnn") else kind
    (found,) = converted_detector(family, kind)(golden_input(family))
    labels = gold[f"{name}_labels"] - (1 if family == "torchvision" else 0)
    assert len(found.boxes) == len(labels)
    same_detections(found, gold[f"{name}_boxes"], gold[f"{name}_scores"], labels)


@torch.no_grad()
def test_losses_of_detectron2_s_retinanet():
    gold, own = figures("detectron2_detections"), figures("retinanet")
    detector = converted_detector("detectron2", "retinanet")
    batch = golden_input("detectron2")
    batch |= {"boxes": [torch.from_numpy(own["gt0"])], "labels": [torch.from_numpy(own["labels0"])]}
    view, head = view_of(batch), detector.bbox_head
    maps = head(detector.features(batch))
    losses = head.losses(maps, image_size(batch), truth_of(batch), view)
    cells = [tuple(level.shape[2:]) for level in maps[0]]
    _, positives, _ = head._targets(cells, SIZE, truth_of(batch), view)
    # Divided there by a moving average of the positives, here by their number.
    factor = positives / (0.9 * 100 + 0.1 * positives)
    close(torch.stack(losses["loss_cls"]).sum() * factor, gold["retinanet_loss_cls"])
    close(torch.stack(losses["loss_bbox"]).sum() * factor, gold["retinanet_loss_box_reg"])


@pytest.mark.parametrize("kind", ["faster_rcnn", "retinanet"])
def test_old_names_of_torchvision(kind):
    new = source_state("torchvision", kind)
    old = {}
    for name, value in new.items():
        name = re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.0", r"\1", name)
        name = name.replace("rpn.head.conv.0.0", "rpn.head.conv")
        name = re.sub(r"(_head\.conv)\.(\d+)\.0", lambda m: f"{m[1]}.{2 * int(m[2])}", name)
        old[name] = value
    assert old.keys() != new.keys() and family_of(old) == "torchvision"
    first, second = convert(old, 80), convert(new, 80)
    assert not first.unknown and first.weights.keys() == second.weights.keys()
    assert all(torch.equal(value, second.weights[name]) for name, value in first.weights.items())


def test_published_rows_are_those_of_the_80_classes():
    weights = convert(source_state("torchvision", "faster_rcnn"), 80).weights
    source = source_state("torchvision", "faster_rcnn")["roi_heads.box_predictor.cls_score.bias"]
    ours = weights["roi_head.bbox_head.fc_cls.bias"]
    assert len(COCO_CLASSES) == len(COCO_IDS) == 80 and COCO_IDS[11] == 13 and COCO_IDS[-1] == 90
    assert ours[11] == source[13] and ours[79] == source[90] and ours[80] == source[0]


@pytest.mark.parametrize("kind", ["faster_rcnn", "retinanet"])
def test_rows_of_classes_that_both_have(kind, tmp_path):
    pixels = reference_pixels()
    torch.manual_seed(0)
    trained = build_detector(tiny(kind, 3), pixels=pixels)
    path = tmp_path / "mm.pth"
    names = ("car", "person", "sign")
    torch.save({"meta": {"CLASSES": names}, "state_dict": trained.state_dict()}, path)
    assert describe_weights(str(path)) == ("mmdet", names)
    detector = build_detector(tiny(kind, 2), pixels=pixels)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    options = {"classes": ["person", "tree"], "file_classes": names}
    report = load_weights(detector, trained.state_dict(), convert=detector_converter(2, **options))
    after, source = detector.state_dict(), trained.state_dict()
    assert report.is_exact
    if kind == "faster_rcnn":
        name = "roi_head.bbox_head.fc_cls.weight"
        assert torch.equal(after[name][0], source[name][1]) and torch.equal(after[name][2], source[name][3])
        assert torch.equal(after[name][1], before[name][1])
        name = "roi_head.bbox_head.fc_reg.weight"
        assert torch.equal(after[name][:4], source[name][4:8]) and torch.equal(after[name][4:], before[name][4:])
    else:
        name = "bbox_head.retina_cls.weight"
        ours, theirs = after[name].reshape(9, 2, -1), source[name].reshape(9, 3, -1)
        assert torch.equal(ours[:, 0], theirs[:, 1])
    other = build_detector(tiny(kind, 2), pixels=pixels)
    report = load_weights(other, trained.state_dict(), convert=detector_converter(2, by_class=False, **options))
    assert report.incorrect_shapes


def test_flavours():
    spec = retinanet()
    assert flavoured(spec, "mmdet") == spec
    flavoured(spec, "torchvision")
    assert "add_extra_convs" in spec["neck"] and spec["neck"]["add_extra_convs"] == "on_input"
    with pytest.raises(ValueError, match="MODEL.FLAVOUR"):
        flavoured(spec, "keras")
