"""Tests of steploop/projects/centerfusion/modeling/losses.py."""

import pytest
import torch

from centerfusion_golden import assert_close, golden, group
from steploop.projects.centerfusion.modeling.losses import DetectionLoss

WEIGHTS = {"wh": 0.1}
OTHER = {"hm": 2, "wh": 0.1, "dep": 0.5, "dep_sec": 0.5, "rot": 0.7, "rot_sec": 0.7, "velocity": 3}


def run(batch, outputs, weights):
    raw = {name: value.clone().requires_grad_() for name, value in outputs.items()}
    losses = DetectionLoss(weights)(raw, batch)
    sum(losses.values()).backward()
    return losses, {name: value.grad for name, value in raw.items()}


@pytest.mark.parametrize(
    ("kind", "weights"), [("loss", WEIGHTS), ("empty", WEIGHTS), ("baseline", WEIGHTS), ("weights_2_.5_.7_3", OTHER)]
)
def test_losses_and_gradients_are_the_published_ones(kind, weights):
    figures = golden("losses")
    batch, outputs, expected = group(figures, "in"), group(figures, "out"), group(figures, kind)
    outputs.pop("dep10")
    if kind == "empty":
        batch["hm"] = expected["hm_target"]
        for name, value in batch.items():
            if name.endswith("mask") or name in ("rotbin", "rotres", "ind", "cat", "nuscenes_att"):
                value.zero_()
    if kind == "baseline":
        del outputs["dep_sec"], outputs["rot_sec"]
    losses, gradients = run(batch, outputs, weights)
    for name in outputs:
        assert_close(losses[f"loss_{name}"] / weights.get(name, 1), expected[name], name=name)
        if expected[f"grad_{name}"].shape != (1,):
            assert_close(gradients[name], expected[f"grad_{name}"], name=f"gradient of {name}")
        else:
            assert not gradients[name].any()
    assert_close(sum(losses.values()), expected["tot"], name="total")


def test_a_depth_for_each_class():
    figures = golden("losses")
    losses = DetectionLoss({})({"dep": group(figures, "out")["dep10"]}, group(figures, "in"))
    assert_close(losses["loss_dep"], figures["depth_loss_per_class"])
    losses = DetectionLoss({})({"hm": group(figures, "out")["hm"]}, group(figures, "in"))
    assert_close(losses["loss_hm"], figures["focal_fast"])
    assert_close(losses["loss_hm"], figures["focal_neg_loss_cornernet"])


def test_half_precision_maps_have_float32_losses():
    figures = golden("losses")
    outputs = {name: value.bfloat16() for name, value in group(figures, "out").items() if name != "dep10"}
    losses = DetectionLoss(WEIGHTS)(outputs, group(figures, "in"))
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert abs(losses["loss_hm"].item() / figures["loss/hm"].item() - 1) < 0.02
