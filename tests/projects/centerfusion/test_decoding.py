"""Tests of steploop/projects/centerfusion/modeling/decode.py and evaluation/boxes.py."""

import json

import numpy as np
import pytest
import torch

from centerfusion_golden import assert_close, golden, group
from shared_files import shared
from steploop.projects.centerfusion.data.view import View
from steploop.projects.centerfusion.evaluation.boxes import (
    DecodingOptions,
    camera_boxes,
    world_boxes,
)
from steploop.projects.centerfusion.evaluation.world_boxes import WorldBoxes, write_results
from steploop.projects.centerfusion.modeling.association import peaks_only
from steploop.projects.centerfusion.modeling.decode import activate, decode, merge_mirrored

SIZE = (50, 28)
SECOND_STAGE = ("dep_sec", "rot_sec")


def raw_maps():
    return group(golden("decode"), "raw")


def test_peaks():
    maps = activate(raw_maps())
    assert_close(peaks_only(maps["hm"]), golden("decode")["nms"])


def test_the_published_detections():
    expected = group(golden("decode"), "dets")
    actual = decode(activate(raw_maps()), 30)
    names = {"scores": "scores", "clses": "classes", "bboxes": "boxes", "rot_sec": "rot", "dep": "dep"}
    names |= {name: name for name in ("dim", "amodel_offset", "nuscenes_att", "velocity")}
    for theirs, ours in names.items():
        assert_close(actual[ours], expected[theirs], name=theirs)
    cells = torch.stack((actual["x"], actual["y"]), dim=2) - actual["reg"]
    assert_close(cells, expected["cts"], name="cells")
    for i, name in enumerate(("xs", "ys")):
        assert_close(cells[..., i], expected[name], name=name)


def boxes_of(image, maps, **options):
    figures = golden("decode")
    detections = {name: value[image].numpy() for name, value in decode(activate(maps), 30).items()}
    x, y = figures["c"][image].tolist()
    view = View(1600, 900, (x, y), float(figures["s"][image]) / 1600)
    has_radar = "dep_sec" in maps
    calib = figures["calib"][image].astype(np.float64)
    return camera_boxes(detections, calib, view, SIZE, DecodingOptions(**options), has_radar=has_radar)


NAMES = {
    "score": "score",
    "class": "class",
    "ct": "center",
    "bbox": "bbox",
    "dep": "depth",
    "dim": "dim",
    "alpha": "alpha",
    "loc": "location",
    "rot_y": "rotation_y",
    "nuscenes_att": "attribute",
    "velocity": "velocity",
}


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize("kind", ["post", "base_post"])
def test_the_published_boxes(kind, image):
    maps = raw_maps()
    if kind == "base_post":
        maps = {name: value for name, value in maps.items() if name not in SECOND_STAGE}
    expected = group(golden("decode"), f"{kind}{image}")
    actual = boxes_of(image, maps)
    for theirs, ours in NAMES.items():
        value = actual[ours].reshape(expected[theirs].shape)
        assert_close(value, expected[theirs], name=theirs)


def test_the_published_flip_test():
    expected = group(golden("decode"), "flip")
    for name, value in merge_mirrored(activate(raw_maps())).items():
        assert_close(value, expected[name], name=name)


def test_the_published_result_file(records, tmp_path):
    expected = json.loads(shared("golden/centerfusion/results_nusc_from_decode.json").read_text())
    parts, tokens = [], []
    for image, image_id in enumerate(golden("decode")["result_image_ids"].tolist()):
        record = records["mini_val"][image_id]
        parts.append(world_boxes(boxes_of(image, raw_maps()), record, image, DecodingOptions()))
        tokens.append(record["sample_token"])
    write_results(tmp_path / "results.json", WorldBoxes.concatenate(parts), tokens, use_radar=True)
    actual = json.loads((tmp_path / "results.json").read_text())
    assert actual["meta"] == expected["meta"]
    assert actual["results"].keys() == expected["results"].keys()
    for token, theirs in expected["results"].items():
        ours = actual["results"][token]
        assert len(ours) == len(theirs)
        for name in ("detection_name", "attribute_name", "sensor_id", "sample_token", "tracking_name", "det_id"):
            assert [entry[name] for entry in ours] == [entry[name] for entry in theirs], name
        for name in ("translation", "size", "velocity", "detection_score"):
            assert_close([entry[name] for entry in ours], [entry[name] for entry in theirs], name=name)
        # A quaternion and its negative are the same rotation.
        dots = [np.abs(np.dot(a["rotation"], b["rotation"])) for a, b in zip(ours, theirs)]
        assert_close(dots, np.ones(len(dots)), 1e-6)


def test_each_published_habit_can_be_switched(records):
    published, right = boxes_of(0, raw_maps()), boxes_of(0, raw_maps(), published_center=False)
    assert np.abs(published["center"] - right["center"]).max() > 1
    predicted = boxes_of(0, raw_maps(), velocity_along_heading=False)
    np.testing.assert_allclose(
        np.hypot(*published["velocity"][:, [0, 2]].T), np.hypot(*predicted["velocity"][:, [0, 2]].T)
    )
    record = records["mini_val"][1]
    high, low = (
        world_boxes(published, record, 0, DecodingOptions(published_center=flag)).translation[0, 2]
        for flag in (True, False)
    )
    height = published["dim"][(published["dim"] > 0).all(1)][0, 0]
    assert high - low == pytest.approx(height / 2, rel=1e-3)


def test_weak_detections_are_dropped():
    scores = boxes_of(0, raw_maps())["score"]
    kept = boxes_of(0, raw_maps(), min_score=float(scores[10]))["score"]
    assert kept.tolist() == scores[scores > scores[10]].tolist()


def test_an_image_without_detections_has_an_empty_list():
    maps = raw_maps()
    nothing = {name: value[:, :0].numpy()[0] for name, value in decode(activate(maps), 30).items()}
    boxes = camera_boxes(nothing, np.eye(3, 4), View.whole(1600, 900), SIZE, DecodingOptions(), has_radar=True)
    record = {"to_world": np.eye(4), "ego_rotation": [1, 0, 0, 0], "sensor_rotation": [1, 0, 0, 0], "sensor_id": 1}
    assert len(world_boxes(boxes, record, 0, DecodingOptions())) == 0


def test_a_depth_for_each_class():
    maps = raw_maps()
    maps["dep"] = torch.arange(10.0).view(1, 10, 1, 1).expand(2, 10, 28, 50)
    del maps["dep_sec"]
    found = decode({**activate(maps), "dep": maps["dep"]}, 30)
    assert torch.equal(found["dep"][..., 0], found["classes"].float())
