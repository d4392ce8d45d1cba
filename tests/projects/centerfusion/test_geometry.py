"""Tests of steploop/projects/centerfusion/data/geometry.py and heat_maps.py."""

import numpy as np

from centerfusion_golden import assert_close, golden
from steploop.projects.centerfusion.data import geometry
from steploop.projects.centerfusion.data.heat_maps import draw_gaussian, gaussian_radius


def test_affine_matrices():
    figures = golden("geometry")
    for (x, y, side, degrees, width, height, inverse), expected in zip(figures["affine_args"], figures["affine"]):
        actual = geometry.affine((x, y), side, (int(width), int(height)), degrees=degrees, inverse=bool(inverse))
        assert_close(actual, expected)


def test_boxes_and_projections():
    figures = golden("geometry")
    corners = geometry.box_corners(figures["dim"], figures["loc"], figures["rot_y"])
    calib = figures["P"].astype(np.float64)
    assert_close(corners, figures["corners"])
    assert_close(geometry.project(corners, calib), figures["projected"])
    assert_close(geometry.unproject(figures["point"], figures["depth"], calib), figures["unprojected"])


def test_angles():
    figures = golden("geometry")
    calib, x = figures["P"].astype(np.float64), figures["point"][:, 0]
    assert_close(geometry.heading_of(figures["alpha"], x, calib), figures["alpha2rot_y"])
    assert_close(geometry.observation_angle_of(figures["rot_y"], x, calib), figures["rot_y2alpha"])
    location, heading = geometry.locate(figures["point"], figures["alpha"], figures["dim"], figures["depth"], calib)
    assert_close(location, figures["ddd2locrot_loc"])
    assert_close(heading, figures["ddd2locrot_rot_y"])


def test_bins_of_headings():
    figures = golden("geometry")
    for alpha, bins, residuals in zip(figures["bins_alpha"], figures["rotbin"], figures["rotres"]):
        actual = geometry.rotation_bins(alpha)
        assert actual[0].tolist() == bins.tolist()
        assert_close(actual[1], residuals)


def test_gaussians():
    figures = golden("geometry")
    for (height, width), expected in zip(figures["radius_hw"], figures["radius"]):
        assert abs(gaussian_radius(int(height), int(width)) - expected) <= 1e-5 * expected
    heat = np.zeros((40, 60), np.float32)
    for x, y, radius in figures["draw_xyr"]:
        draw_gaussian(heat, (int(x), int(y)), int(radius))
    assert_close(heat, figures["draw"])


def test_a_gaussian_outside_of_the_map_draws_nothing():
    heat = np.zeros((4, 4), np.float32)
    draw_gaussian(heat, (9, 2), 1)
    assert not heat.any()
