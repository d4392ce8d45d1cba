import pytest
import torch

from detection_golden import same_detections
from detection_specs import tiny
from steploop.projects.detection.modeling import Pixels, build_detector

PIXELS = Pixels((120.0, 120, 120), (60.0, 60, 60))


def build(kind, **overrides):
    torch.manual_seed(0)
    return build_detector(tiny(kind, **overrides), pixels=PIXELS)


def batch(boxes=((10, 10, 50, 60), (5, 30, 40, 60)), count=2, size=(64, 96)):
    generator = torch.Generator().manual_seed(1)
    truth = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "image": torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator),
        "size": [(size[0] - 4 * i, size[1] - 8 * i) for i in range(count)],
        "scale": [(0.5, 0.5)] * count,
        "boxes": [truth] * count,
        "labels": [torch.arange(len(truth)) % 3] * count,
    }


@pytest.mark.parametrize("kind", ["faster_rcnn", "retinanet"])
def test_one_image_without_objects_gives_finite_losses_and_gradients(kind):
    detector = build(kind)
    losses, metrics = detector(batch(boxes=(), count=1))
    assert all(value.dim() == 0 for value in {**losses, **metrics}.values())
    sum(losses.values()).backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("kind", ["faster_rcnn", "retinanet"])
def test_losses_fall(kind):
    detector, given = build(kind), batch()
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.02, momentum=0.9)
    totals = []
    for _ in range(12):
        losses, _ = detector(given)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]


@pytest.mark.parametrize("kind", ["faster_rcnn", "retinanet"])
@torch.no_grad()
def test_a_batch_finds_what_its_images_find(kind):
    threshold = {"faster_rcnn": "test_cfg.rcnn.score_thr", "retinanet": "test_cfg.score_thr"}[kind]
    detector, given = build(kind, **{threshold: 0.005}).eval(), batch()
    together = detector(given)
    assert len(together[0].boxes)
    for index in range(2):
        alone = detector({key: value[index : index + 1] for key, value in given.items()})[0]
        same_detections(together[index], alone.boxes, alone.scores, alone.labels, tolerance=1e-5)


def test_frozen_stages_and_statistics():
    detector = build("retinanet", **{"backbone.frozen_stages": 1, "backbone.norm_eval": True})
    detector.train()
    backbone = detector.backbone
    assert not backbone.layer1.training and backbone.layer2.training and not backbone.layer2[0].bn1.training
    assert not backbone.conv1.weight.requires_grad and backbone.layer2[0].bn1.weight.requires_grad


def test_pixels():
    images = torch.full((1, 3, 2, 2), 180, dtype=torch.uint8)
    images[0, 0] = 60
    rgb = Pixels((0.0, 0, 0), (60.0, 60, 60))(images, [(1, 2)])
    assert rgb[0, :, 0, 0].tolist() == [1, 3, 3] and not rgb[0, :, 1].any()
    assert Pixels((0.0, 0, 0), (60.0, 60, 60), to_rgb=False)(images, [(2, 2)])[0, :, 0, 0].tolist() == [3, 3, 1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"bbox_head.loss_cls": {"type": "GHMC"}}, "GHMC"),
        ({"backbone.dcn": {"type": "DCNv2"}}, "dcn"),
        ({"backbone.strides": (1, 2, 2, 1)}, "strides"),
        ({"neck.type": "PAFPN"}, "PAFPN"),
        ({"test_cfg.select": "all"}, "select"),
        ({"backbone.style": "tensorflow"}, "style"),
        ({"neck.norm_cfg": {"type": "GN", "num_groups": 16}}, "norm_cfg"),
    ],
)
def test_what_is_not_supported_is_named(overrides, message):
    with pytest.raises((ValueError, TypeError, KeyError), match=message):
        build("retinanet", **overrides)


def test_old_spellings_of_the_proposal_settings():
    old = {
        "nms_across_levels": False,
        "nms_pre": 200,
        "nms_post": 60,
        "max_num": 40,
        "nms_thr": 0.6,
        "min_bbox_size": 0,
    }
    head = build("faster_rcnn", **{"test_cfg.rpn": old}).rpn_head
    assert head.test_proposals[:3] == (200, 40, {"type": "nms", "iou_threshold": 0.6})
    with pytest.raises(ValueError, match="nms_across_levels=True"):
        build("faster_rcnn", **{"test_cfg.rpn": {**old, "nms_across_levels": True}})
