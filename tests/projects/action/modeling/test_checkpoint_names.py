"""Files of other libraries, made by renaming our own weights with the published table, give the same logits."""

import re

import pytest
import torch

from action_golden import clips, fill, golden, recipe, slowfast_spec, slowonly_spec
from steploop.engine.checkpoint import load_weights
from steploop.projects.action.modeling import build_recognizer, convert, family_of, inflate_2d
from steploop.projects.action.weights import as_recognizer

LETTERS = {"1": "a", "2": "b", "3": "c"}


def small_spec(**settings):
    spec = slowfast_spec(18, num_classes=5, **settings)
    for path in ("slow_pathway", "fast_pathway"):
        spec["backbone"][path] = {**spec["backbone"][path], "stage_blocks": (1, 1, 1, 1)}
    spec["backbone"]["slow_pathway"] |= {"base_channels": 16, "lateral_norm": True}
    spec["backbone"]["fast_pathway"] |= {"base_channels": 2}
    spec["cls_head"]["in_channels"] = 16 * 8 + 2 * 8
    return spec


def to_pytorchvideo(name):
    path = {"slow_path": "0", "fast_path": "1"}
    if match := re.fullmatch(r"cls_head\.fc_cls\.(\w+)", name):
        return f"blocks.6.proj.{match[1]}"
    if match := re.fullmatch(r"backbone\.slow_path\.(conv1|layer(\d))_lateral\.(conv|bn)\.(\w+)", name):
        kind = "conv_fast_to_slow" if match[3] == "conv" else "norm"
        return f"blocks.{match[2] or 0}.multipathway_fusion.{kind}.{match[4]}"
    if match := re.fullmatch(r"backbone\.(\w+_path)\.conv1\.(conv|bn)\.(\w+)", name):
        return f"blocks.0.multipathway_blocks.{path[match[1]]}.{'conv' if match[2] == 'conv' else 'norm'}.{match[3]}"
    match = re.fullmatch(r"backbone\.(\w+_path)\.layer(\d)\.(\d+)\.(conv(\d)|downsample)\.(conv|bn)\.(\w+)", name)
    kind = "conv" if match[6] == "conv" else "norm"
    inner = f"branch2.{kind}_{LETTERS[match[5]]}" if match[5] else f"branch1_{kind}"
    return f"blocks.{match[2]}.multipathway_blocks.{path[match[1]]}.res_blocks.{match[3]}.{inner}.{match[7]}"


def to_pyslowfast(name):
    path = {"slow_path": "0", "fast_path": "1"}
    if match := re.fullmatch(r"cls_head\.fc_cls\.(\w+)", name):
        return f"head.projection.{match[1]}"
    if match := re.fullmatch(r"backbone\.slow_path\.(conv1|layer(\d))_lateral\.(conv|bn)\.(\w+)", name):
        return f"s{int(match[2] or 0) + 1}_fuse.{'conv_f2s' if match[3] == 'conv' else 'bn'}.{match[4]}"
    if match := re.fullmatch(r"backbone\.(\w+_path)\.conv1\.(conv|bn)\.(\w+)", name):
        return f"s1.pathway{path[match[1]]}_stem.{match[2]}.{match[3]}"
    match = re.fullmatch(r"backbone\.(\w+_path)\.layer(\d)\.(\d+)\.(conv(\d)|downsample)\.(conv|bn)\.(\w+)", name)
    suffix = "" if match[6] == "conv" else "_bn"
    inner = f"branch2.{LETTERS[match[5]]}{suffix}" if match[5] else f"branch1{suffix}"
    return f"s{int(match[2]) + 1}.pathway{path[match[1]]}_res{match[3]}.{inner}.{match[7]}"


@pytest.mark.parametrize(("rename", "family"), [(to_pytorchvideo, "pytorchvideo"), (to_pyslowfast, "pyslowfast")])
def test_files_of_other_libraries_are_loaded_whole(rename, family):
    model = build_recognizer(small_spec())
    fill(model)
    own = model.state_dict()
    theirs = {rename(name): value for name, value in own.items()}
    columns = next(name for name in theirs if name.endswith(("proj.weight", "projection.weight")))
    weight = theirs[columns]
    theirs[columns] = torch.cat((weight[:, 16:], weight[:, :16]), dim=1)  # they put Slow's columns first
    assert family_of(theirs) == family
    converted = convert(theirs, fast_channels=16)
    assert (converted.family, converted.unknown, converted.frame_choice) == (family, [], "linspace")
    assert converted.weights.keys() == own.keys()
    fresh = build_recognizer(small_spec())
    assert not load_weights(fresh, theirs, convert=as_recognizer, minimum_share=1.0).initial
    assert all(value.equal(own[name]) for name, value in fresh.state_dict().items())


def test_the_other_libraries_see_other_frames():
    stride, linspace = (build_recognizer(small_spec(frame_choice=choice)).eval() for choice in ("stride", "linspace"))
    linspace.load_state_dict(stride.state_dict())
    inputs = clips((1, 32, 32, 32))
    assert linspace.backbone._frames(inputs, 8).equal(inputs[:, :, [0, 10, 20, 31]])
    assert stride.backbone._frames(inputs, 8).equal(inputs[:, :, [0, 8, 16, 24]])
    assert stride.backbone._frames(inputs[:, :, :20], 8).equal(inputs[:, :, [0, 8]])
    with pytest.raises(ValueError, match="too short"):
        stride.backbone._frames(inputs[:, :, :4], 8)


def test_files_of_mmaction_fit_as_they_are_and_the_preprocessor_of_1x_is_left_out():
    model = build_recognizer(small_spec())
    state = {**model.state_dict(), "data_preprocessor.mean": torch.zeros(3)}
    assert convert(state).weights.keys() == model.state_dict().keys()
    with pytest.raises(ValueError, match="are not those of MMAction2"):
        family_of({"module.x": torch.zeros(1)})


def test_inflation_gives_the_features_of_mmaction():
    figures = golden("inflate.npz")
    state = {}
    for entry in figures["names_2d"]:
        name, shape = str(entry).split(" ", 1)
        sizes = tuple(int(number) for number in re.findall(r"\d+", shape))
        state[name] = recipe(name, sizes, torch.long if name.endswith("num_batches_tracked") else torch.float32)
    model = build_recognizer(slowonly_spec()).eval()
    inflated = inflate_2d(state, model.backbone.state_dict())
    missing = model.backbone.load_state_dict(inflated, strict=False)
    assert missing.missing_keys == []
    assert set(missing.unexpected_keys) <= {"fc.weight", "fc.bias"}
    first = model.backbone.layer3[0].conv1.conv.weight[:3, :3, :, 0, 0]
    assert torch.allclose(first, torch.from_numpy(figures["layer3_0_conv1_first"]), atol=1e-7)
    with torch.no_grad():
        features = model.cls_head.pool(model.backbone(clips((2, 4, 56, 56))))
    expected = torch.from_numpy(figures["features"])
    assert (features - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_inflation_gives_laterals_zeros_behind():
    model = build_recognizer(slowfast_spec(18))
    own = model.backbone.state_dict()
    state = {"layer1.0.conv1.weight": torch.ones(64, 64, 3, 3), "conv1.weight": torch.ones(64, 3, 7, 7)}
    inflated = inflate_2d(state, own)
    assert inflated.keys() == {"slow_path.layer1.0.conv1.conv.weight", "slow_path.conv1.conv.weight"}
    weight = inflated["slow_path.layer1.0.conv1.conv.weight"]
    assert weight.shape == (64, 80, 1, 3, 3)
    assert (weight[:, :64] == 1).all()
    assert (weight[:, 64:] == 0).all()
