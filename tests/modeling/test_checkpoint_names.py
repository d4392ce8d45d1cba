import logging

import pytest
import torch

from shared_files import shared
from steploop.modeling import ResNet, checkpoint_names, convert_names, register_name_rules
from steploop.modeling.checkpoint_names import rename


def entries(path):
    """The names and shapes of a list beside the checkout, as tensors without data."""
    lines = [line.partition(" ") for line in shared(path).read_text().splitlines() if line.strip()]
    shapes = {name: tuple(int(n) for n in text.strip("() ").split(",") if n.strip()) for name, _, text in lines}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def without_counters(state):
    return {name: value for name, value in state.items() if "num_batches_tracked" not in name}


def fitting(state, expected):
    return {name for name, value in state.items() if name in expected and expected[name].shape == value.shape}


@pytest.fixture
def families(monkeypatch):
    """A copy of the table that a test may change."""
    copy = {name: list(rules) for name, rules in checkpoint_names._FAMILIES.items()}
    monkeypatch.setattr(checkpoint_names, "_FAMILIES", copy)


@pytest.mark.parametrize("detector", ["faster_rcnn", "retinanet"])
@pytest.mark.parametrize("source", ["torchvision", "detectron2"])
def test_backbones_and_pyramids_of_detectors(source, detector):
    files = {
        "torchvision": f"torchvision_{detector.replace('_', '')}_resnet50_fpn",
        "detectron2": f"detectron2_{detector}_R_50_FPN",
    }
    if (source, detector) == ("torchvision", "retinanet"):
        files["torchvision"] = "torchvision_retinanet_resnet50_fpn"
    expected = entries(f"golden/detection/state_dicts/mmdet_{detector}_r50_fpn.txt")
    shared_parts = {name for name in without_counters(expected) if name.split(".")[0] in ("backbone", "neck")}
    if (source, detector) == ("torchvision", "retinanet"):
        shared_parts.remove("neck.fpn_convs.3.conv.weight")  # from the last level there, of 256 channels
    converted = convert_names(entries(f"golden/detection/state_dicts/{files[source]}.txt"), expected)
    assert shared_parts <= fitting(converted, expected)


def test_files_of_torchvision_before_the_pyramids_had_an_extra_dot():
    expected = {"neck.lateral_convs.0.conv.weight": torch.zeros(1), "neck.fpn_convs.1.conv.bias": torch.zeros(1)}
    state = {"backbone.fpn.inner_blocks.0.weight": torch.zeros(1), "backbone.fpn.layer_blocks.1.bias": torch.zeros(1)}
    assert convert_names(state, expected).keys() == expected.keys()


def test_a_pyramid_with_normalisation():
    expected = {"neck.lateral_convs.1.bn.weight": torch.zeros(1), "neck.lateral_convs.1.conv.weight": torch.zeros(2)}
    state = {"backbone.fpn_lateral3.norm.weight": torch.zeros(1), "backbone.fpn_lateral3.weight": torch.zeros(2)}
    assert convert_names(state, expected).keys() == expected.keys()


@pytest.mark.parametrize("name", ["mmdet_retinanet_r50_fpn", "mmdet_faster_rcnn_r50_fpn"])
def test_a_backbone_alone_takes_it_from_a_whole_detector(name):
    with torch.device("meta"):
        expected = ResNet(50).state_dict()
    converted = convert_names(entries(f"golden/detection/state_dicts/{name}.txt"), expected)
    assert expected.keys() == fitting(converted, expected)


def test_a_whole_model_takes_a_backbone_alone(caplog):
    with torch.device("meta"):
        state = ResNet(50).state_dict()
    expected = entries("golden/state_dicts/bagtricks_R50.txt")
    with caplog.at_level(logging.INFO):
        converted = convert_names(state, expected)
    assert fitting(converted, expected) == {name for name in expected if name.startswith("backbone.")}
    assert '"backbone." put before them' in caplog.text


@pytest.mark.parametrize("generation", ["G1", "G2"])
def test_old_files_of_fast_reid(generation):
    expected = entries("golden/state_dicts/bagtricks_R50.txt")
    old = {"heads.weight": "heads.classifier.weight"}
    state = {old.get(name, name): value for name, value in expected.items()}
    if generation == "G1":
        state = {name.replace("heads.bottleneck.0.", "heads.bnneck."): value for name, value in state.items()}
    state["pixel_mean"] = torch.zeros(1, 3, 1, 1)
    converted = convert_names(state, expected)
    assert fitting(converted, expected) == set(expected)
    assert set(converted) - set(expected) == {"pixel_mean"}


def test_a_file_that_fits_is_returned_as_it_is(caplog):
    state = {"a.weight": torch.zeros(1), "extra": torch.zeros(1)}
    with caplog.at_level(logging.INFO):
        assert convert_names(state, {"a.weight": torch.zeros(1)}) is state
        assert convert_names(state, {"other": torch.zeros(1)}) is state
    assert not caplog.records


def test_names_alone_do_not_count():
    # The prefix under which a name fits, but no shape does.
    state = {"x.weight": torch.zeros(2), "y.weight": torch.zeros(3)}
    expected = {"a.x.weight": torch.zeros(9), "y.weight": torch.zeros(3)}
    assert convert_names(state, expected) is state


def test_mmaction2_and_torchvision_name_the_same_resnet():
    with torch.device("meta"):
        plain = ResNet(50, width=8).state_dict()
    rules = checkpoint_names._FAMILIES
    there = {name: rename(name, rules["torchvision for mmaction2"]) for name in plain}
    assert there["conv1.weight"] == "conv1.conv.weight"
    assert there["bn1.bias"] == "conv1.bn.bias"
    assert there["layer3.0.downsample.1.running_mean"] == "layer3.0.downsample.bn.running_mean"
    assert all(rename(new, rules["mmaction2"]) == name for name, new in there.items())
    converted = convert_names({new: plain[name] for name, new in there.items()}, plain)
    assert fitting(converted, plain) == set(plain)
    slow_only = entries("golden/action/state_dicts/slowonly_r50_4x16.txt")
    own = {name.removeprefix("backbone.") for name in slow_only if name.startswith("backbone.")}
    assert own == set(there.values())


def test_a_project_adds_rules(families):
    state = {"backbone.body.conv1.weight": torch.zeros(1), "rpn.head.conv.weight": torch.zeros(2)}
    expected = {"backbone.conv1.weight": torch.zeros(1), "rpn_head.rpn_conv.weight": torch.zeros(2)}
    rules = [(r"^rpn\.head\.conv\.", "rpn_head.rpn_conv.")]
    register_name_rules("torchvision", rules)
    register_name_rules("torchvision", rules)
    assert convert_names(state, expected).keys() == expected.keys()
    register_name_rules("another", [("^theirs", "ours")])
    assert list(convert_names({"theirs": torch.zeros(1)}, {"ours": torch.zeros(1)})) == ["ours"]
    register_name_rules("detectron2", rules)
    assert rules[0] in checkpoint_names._FAMILIES["detectron2 from level 3"]


def test_two_entries_for_one_name_are_an_error():
    state = {"a.x": torch.zeros(1), "x": torch.zeros(1), "a.y": torch.zeros(1)}
    with pytest.raises(ValueError, match="two entries of the file would be x, one of them x"):
        convert_names(state, {"x": torch.zeros(1), "y": torch.zeros(1)})
