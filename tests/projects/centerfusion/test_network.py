"""Tests of steploop/projects/centerfusion/modeling/network.py."""

import numpy as np
import pytest
import torch

from centerfusion_golden import assert_close, fill_weights, golden, group, images
from shared_files import shared
from steploop.projects.centerfusion.modeling.losses import DetectionLoss
from steploop.projects.centerfusion.modeling.network import CenterFusionNet

MODELS = ["centerfusion_conv", "centerfusion_dcn", "centernet_conv"]


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    figures = golden(f"model_{request.param}")
    kind, node = request.param.split("_")
    model = CenterFusionNet(radar=kind == "centerfusion", node=node)
    fill_weights(model)
    shape = figures["in/pc_dep"].shape
    return model, figures, images(shape[0], *shape[2:])


def test_features_and_output_maps(case):
    model, figures, pictures = case
    model.eval()
    with torch.no_grad():
        for i, level in enumerate(model.base(pictures).values()):
            expected = figures[f"level{i}_first_image"]
            assert_close(level[0, : len(expected)], expected, 1e-4, f"level {i}")
        assert_close(model.features(pictures), figures["features"], 1e-4, "features")
        outputs = model.compute_maps(pictures, associated=torch.from_numpy(figures["in/pc_hm"]))
    for name, expected in group(figures, "eval").items():
        assert_close(outputs[name], expected, 1e-4, name)


def test_association_in_evaluation(case):
    model, figures, pictures = case
    expected = group(figures, "test")
    if not model.head_names.secondary:
        assert not expected
        return
    model.eval()
    radar, calib = (torch.from_numpy(figures[f"in/{name}"])[:1] for name in ("pc_dep", "calib"))
    with torch.no_grad():
        outputs = model.compute_maps(pictures[:1], radar, calib)
    assert_close(outputs["pc_hm"], expected.pop("pc_hm_all"), 1e-5, "radar maps")
    assert_close(outputs["pc_hm"][:, :1], expected.pop("pc_hm"), 1e-5, "radar depth")
    for name, value in expected.items():
        assert_close(outputs[name], value, 1e-4, name)


def test_a_training_step(case):
    """Losses, gradient norms, which parameters get no gradient, and the batch norms' statistics after it."""
    model, figures, pictures = case
    fill_weights(model)
    model.train()
    batch = group(figures, "in")
    outputs = model.compute_maps(pictures, associated=batch["pc_hm"])
    weights = {"wh": 0.1}
    losses = DetectionLoss(weights)(outputs, batch)
    total = sum(losses.values())
    total.backward()
    for name in outputs:
        if name != "pc_hm":
            assert_close(losses[f"loss_{name}"] / weights.get(name, 1), figures[f"loss/{name}"], 1e-3, name)
    assert_close(total, figures["loss/tot"], 1e-3)
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unused == set(figures["no_gradient"].tolist())
    assert unused == {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    norms = dict(zip(figures["grad_names"].tolist(), figures["grad_norm"].tolist()))
    largest = max(norms.values())
    for name, expected in norms.items():
        actual = model.get_parameter(name).grad.norm().item()
        assert abs(actual - expected) <= 0.03 * (expected + 0.001 * largest), name
    entries = model.state_dict()
    for name, expected in group(figures, "after").items():
        # The published network computes these two projections and uses neither.
        if not name.startswith(("base.level3.project", "base.level4.project")):
            assert_close(entries[name], expected, 1e-4, name)
    model.zero_grad()


@pytest.mark.parametrize(("name", "radar"), [("centerfusion_e60", True), ("centernet_baseline_e170", False)])
def test_names_and_shapes_are_those_of_the_published_checkpoints(name, radar):
    lines = shared(f"golden/centerfusion/state_dicts/{name}.txt").read_text().splitlines()
    with torch.device("meta"):
        entries = CenterFusionNet(radar=radar).state_dict()
    assert {f"{key} {tuple(value.shape)}" for key, value in entries.items()} == set(lines)


def test_number_of_parameters():
    with torch.device("meta"):
        for node, count in (("dcn", 21_402_320), ("conv", 17_846_240)):
            model = CenterFusionNet(node=node)
            assert sum(p.numel() for p in model.parameters()) == count
        CenterFusionNet(node="gcn")


@pytest.mark.parametrize("node", ["gcn", "conv"])
def test_a_thin_network_of_any_node(node):
    torch.manual_seed(0)
    model = CenterFusionNet(node=node, channels=(4, 4, 8, 8, 8, 8), head_channels=8, secondary_layers=2)
    outputs = model.compute_maps(torch.zeros(2, 3, 64, 96), torch.zeros(2, 3, 16, 24), torch.ones(2, 3, 4))
    assert outputs["velocity"].shape == (2, 3, 16, 24)
    assert not outputs["pc_hm"].any()
    assert np.isclose(model.get_parameter("hm.2.bias").detach()[0], -4.6)


def test_a_size_that_does_not_fit_is_named():
    model = CenterFusionNet(node="conv", channels=(4, 4, 8, 8, 8, 8), head_channels=8)
    with pytest.raises(ValueError, match="224 x 400 pixels do not fit"):
        model.features(torch.zeros(1, 3, 224, 400))
    with pytest.raises(ValueError, match="radar maps"):
        model.compute_maps(torch.zeros(1, 3, 64, 64))
