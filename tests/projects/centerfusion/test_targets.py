"""Tests of steploop/projects/centerfusion/data/targets.py, pillars.py, records.py and view.py."""

import numpy as np
import pytest

from centerfusion_golden import assert_close, golden, group
from steploop.projects.centerfusion.data.geometry import transform
from steploop.projects.centerfusion.data.pillars import PillarOptions, draw_pillars, points_in_view
from steploop.projects.centerfusion.data.records import read_radar_points, read_records
from steploop.projects.centerfusion.data.targets import (
    TargetOptions,
    associate_true_boxes,
    boxes_in_view,
    make_targets,
)
from steploop.projects.centerfusion.data.view import Augmentation, View
from steploop.projects.centerfusion.modeling.association import Frustums

GROUPS = ["val0", "val1", "val_small", "train_shift", "train_scale", "train_flip", "train_small_flip"]


@pytest.mark.parametrize("name", GROUPS)
def test_the_published_targets(records, name):
    expected = group(golden("targets"), name)
    input_h, input_w, x, y, zoom, flip = expected.pop("args").tolist()
    size = (int(input_w) // 4, int(input_h) // 4)
    record = records["mini_train" if name.startswith("train") else "mini_val"][int(expected.pop("image_id"))]
    view = View(record["width"], record["height"], (x, y), zoom, bool(flip))
    if name.startswith("val"):
        assert view == View.whole(record["width"], record["height"])
        assert expected.pop("meta_c").tolist() == list(view.center)
        assert float(expected.pop("meta_s")) == view.side
    pillars = PillarOptions(max_distance=60)
    visible = points_in_view(read_radar_points(record), record["calib"], view, size, pillars)
    viewed = boxes_in_view(record["boxes"], view, size)
    actual = make_targets(record["boxes"], viewed, view, size, TargetOptions())
    actual["pc_dep"] = draw_pillars(visible, record["calib"], view, size, pillars)
    actual["pc_hm"] = associate_true_boxes(actual["pc_dep"], record["boxes"], viewed, record["calib"], Frustums(), 128)
    actual["calib"] = record["calib"]
    count = int(expected.pop("pc_N"))
    theirs = expected.pop("pc_2d").numpy()[:, :count]  # in the image
    assert_close(visible.pixels[:2].T, transform(theirs[:2].T, view.matrix(size)), name="pixels")
    assert_close(visible.pixels[2], theirs[2], name="depth")
    assert_close(visible.points, expected.pop("pc_3d")[:, :count], name="points")
    assert count > 0
    for key, value in expected.items():
        assert_close(actual[key], value, name=key)
    assert expected.keys() == actual.keys()
    assert actual["mask"].any()


def test_a_mirrored_velocity_can_be_asked_for(records):
    record = records["mini_train"][6]
    view = View(1600, 900, (800, 450), 1.0, flip=True)
    viewed = boxes_in_view(record["boxes"], view, (200, 112))
    published, right = (
        make_targets(record["boxes"], viewed, view, (200, 112), TargetOptions(flip_velocity=flip))["velocity"]
        for flip in (False, True)
    )
    assert np.abs(published[:, 0]).max() > 0
    np.testing.assert_array_equal(right, published * [-1, 1, 1])


def test_an_image_without_boxes_has_empty_targets(records):
    record = records["mini_train"][1]
    empty = {name: value[:0] for name, value in record["boxes"].items()}
    view = View.whole(1600, 900)
    viewed = boxes_in_view(empty, view, (200, 112))
    assert not any(value.any() for value in make_targets(empty, viewed, view, (200, 112), TargetOptions()).values())
    radar = np.ones((3, 112, 200), np.float32)
    assert not associate_true_boxes(radar, empty, viewed, record["calib"], Frustums(), 128).any()


class TestViews:
    def test_they_are_a_function_of_their_generator(self):
        how = Augmentation(flip=0.5, shift=0.1, scale=0.1)
        first, again = ([View.draw(1600, 900, how, np.random.default_rng(s)) for s in range(20)] for _ in range(2))
        assert first == again
        assert {view.flip for view in first} == {False, True}
        assert all(0.9 <= view.zoom <= 1.1 and 480 <= view.center[0] <= 1120 for view in first)

    def test_random_crops(self):
        how = Augmentation(random_crop=True)
        views = [View.draw(1600, 900, how, np.random.default_rng(s)) for s in range(50)]
        assert {round(view.zoom, 1) for view in views} <= {0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3}
        assert all(128 <= view.center[0] < 1600 - 128 for view in views)
        View.draw(100, 60, how, np.random.default_rng(0))  # smaller than the border

    def test_no_augmentation_is_the_whole_image(self):
        assert View.draw(1600, 900, Augmentation(), np.random.default_rng(0)) == View.whole(1600, 900)


class TestRecords:
    def test_missing_and_wrong_files_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"convert\.py"):
            read_records(tmp_path / "a.json", tmp_path)
        (tmp_path / "a.json").write_text("[]")
        with pytest.raises(ValueError, match="no annotation file"):
            read_records(tmp_path / "a.json", tmp_path)
        (tmp_path / "a.json").write_text('{"images": [], "annotations": []}')
        with pytest.raises(ValueError, match="has no images"):
            read_records(tmp_path / "a.json", tmp_path)
