"""Tests of steploop/projects/centerfusion/modeling/association.py."""

import dataclasses

import numpy as np
import pytest
import torch

from centerfusion_golden import assert_close, golden, group
from steploop.projects.centerfusion.modeling.association import (
    Frustums,
    associate,
    associate_predicted,
    depth_threshold,
    observation_angle,
)

K30 = Frustums(num_boxes=30)


def test_boxes_paint_in_their_order():
    figures = golden("decode")
    rows = torch.from_numpy(figures["assoc/rows"])[None]
    radar = torch.from_numpy(figures["frustum0/pc_dep"])
    valid = torch.ones(1, rows.shape[1], dtype=torch.bool)
    painted = associate(radar, rows[..., 1:5], rows[..., 0], rows[..., 5], valid, K30)
    assert_close(painted[0], figures["assoc/pc_hm"])


def test_predicted_boxes_of_several_images_at_once():
    """Published code takes one image at a time."""
    figures = golden("decode")
    parts = [group(figures, f"frustum{i}") for i in range(2)]
    outputs = {name: torch.cat([part[name] for part in parts]) for name in ("hm", "wh", "dep", "dim", "rot")}
    radar = torch.cat([part["pc_dep"] for part in parts])
    calib = torch.stack([part["calib"] for part in parts])
    painted = associate_predicted(outputs, radar, calib, K30)
    assert painted.any()
    for i, part in enumerate(parts):
        assert_close(painted[i], part["pc_hm"][0])


@pytest.mark.parametrize(
    "change", [{"window": 1.0}, {"wrap_negative": False}, {"only_peaks": True}, {"min_score": 0.7}, {"best_last": True}]
)
def test_each_published_habit_can_be_switched(change):
    part = group(golden("decode"), "frustum0")
    outputs = {name: part[name] for name in ("hm", "wh", "dep", "dim", "rot")}
    many = Frustums(num_boxes=400)
    published, other = (
        associate_predicted(outputs, part["pc_dep"], part["calib"][None], rule)
        for rule in (many, dataclasses.replace(many, **change))
    )
    assert (other - published).abs().max() > 0


def test_thresholds_and_angles():
    figures = golden("geometry")
    centre = torch.from_numpy(figures["dist_thresh_ct"])[None, :, 0]
    dims, alpha, calib = (torch.from_numpy(figures[name])[None] for name in ("dim", "alpha", "P"))
    assert_close(depth_threshold(centre, dims, alpha, calib)[0], figures["dist_thresh"])
    assert_close(observation_angle(torch.from_numpy(figures["rot8"])), figures["get_alpha"])


def test_no_radar_paints_nothing():
    boxes = torch.tensor([[[0.0, 0.0, 9.0, 9.0]]])
    one = torch.ones(1, 1)
    painted = associate(torch.zeros(1, 3, 10, 10), boxes, one * 10, one, one > 0, Frustums())
    assert not np.any(painted.numpy())
