"""Tests of steploop/projects/centerfusion/data/convert.py, tables.py and radar.py."""

import json
import zipfile

import numpy as np
import pytest

from shared_files import shared
from steploop.projects.centerfusion.data.convert import convert, radar_file
from steploop.projects.centerfusion.data.radar import RECORD, read_radar, write_radar
from steploop.projects.centerfusion.data.tables import Tables


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuscenes")
    with zipfile.ZipFile(shared("golden/centerfusion/nuscenes_synthetic.zip")) as archive:
        archive.extractall(folder)
    (folder / "annotations_3sweeps").rename(folder / "expected")
    return folder


@pytest.fixture(scope="module")
def tables(root):
    return Tables(root, "v1.0-mini")


def close(actual, expected, tolerance, name):
    actual, expected = np.array(actual, dtype=np.float64), np.array(expected, dtype=np.float64)
    assert actual.shape == expected.shape, name
    assert (np.isnan(actual) == np.isnan(expected)).all(), name
    assert np.nan_to_num(np.abs(actual - expected)).max(initial=0) <= tolerance, name


@pytest.mark.parametrize("split", ["mini_train", "mini_val"])
def test_the_published_conversion(root, tables, split):
    path = convert(tables, split, 3)
    actual, expected = json.loads(path.read_text()), json.loads((root / "expected" / f"{split}.json").read_text())
    points = np.fromfile(radar_file(path), "<f4").reshape(-1, 18)
    assert [image["id"] for image in actual["images"]] == [image["id"] for image in expected["images"]]
    for ours, theirs in zip(actual["images"], expected["images"]):
        first, count = ours.pop("radar")
        theirs_points = np.array(theirs.pop("radar_pc"))
        scale = np.abs(theirs_points).max()
        close(points[first : first + count].T / scale, theirs_points / scale, 1e-6, "radar")
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            if isinstance(value, list):
                close(ours[name], value, 1e-4 if name == "calib" else 1e-6, name)  # theirs is float32
            else:
                assert ours[name] == value, name
    key = {"id", "image_id", "category_id", "track_id", "attributes", "iscrowd", "occluded", "truncated"}
    assert len(actual["annotations"]) == len(expected["annotations"])
    for ours, theirs in zip(actual["annotations"], expected["annotations"]):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            if name in key:
                assert ours[name] == value, (name, ours["id"])
            elif name == "area":
                assert abs(ours[name] / value - 1) < 1e-5
            else:
                close(ours[name], value, 1e-5 if "velocity" in name else 1e-3, name)
    for name in ("categories", "videos", "attributes", "pointclouds"):
        assert actual[name] == expected[name]


def damaged(root, folder, table, change):
    """Copy the tables and change one of them."""
    (folder / "v1.0-mini").mkdir()
    for path in (root / "v1.0-mini").iterdir():
        rows = json.loads(path.read_text())
        if path.stem == table:
            rows = change(rows)
        if rows is not None:
            (folder / "v1.0-mini" / path.name).write_text(json.dumps(rows))
    for name in ("samples", "sweeps"):
        (folder / name).symlink_to(root / name)
    return folder


def test_a_missing_table_is_named(root, tmp_path):
    folder = damaged(root, tmp_path, "ego_pose", lambda _rows: None)
    with pytest.raises(FileNotFoundError, match=r"ego_pose\.json is missing"):
        Tables(folder, "v1.0-mini")


def test_a_table_that_is_no_table_is_named(root, tmp_path):
    folder = damaged(root, tmp_path, "scene", lambda rows: {"rows": 3})
    with pytest.raises(ValueError, match=r"scene\.json is no list of rows"):
        Tables(folder, "v1.0-mini")


def test_a_split_without_samples_is_named(root, tables, tmp_path):
    with pytest.raises(ValueError, match=r"'val' belongs to v1\.0-trainval"):
        convert(tables, "val")
    folder = damaged(root, tmp_path, "scene", lambda rows: [row for row in rows if row["name"] != "scene-0103"])
    with pytest.raises(ValueError, match="'mini_val' has no samples"):
        convert(Tables(folder, "v1.0-mini"), "mini_val")
    with pytest.raises(ValueError, match="unknown split 'mini'"):
        convert(tables, "mini")


def test_an_unknown_category_is_named(root, tmp_path):
    folder = damaged(root, tmp_path, "category", lambda rows: [{**row, "name": "vehicle.ufo"} for row in rows])
    with pytest.raises(ValueError, match=r"unknown category 'vehicle\.ufo'"):
        convert(Tables(folder, "v1.0-mini"), "mini_train")
    assert not list(folder.glob("annotations*/*"))  # nothing half done stays


def test_a_zero_focal_length_is_named(root, tmp_path):
    def change(rows):
        for row in rows:
            if row["camera_intrinsic"]:
                row["camera_intrinsic"][0][0] = 0
        return rows

    folder = damaged(root, tmp_path, "calibrated_sensor", change)
    with pytest.raises(ValueError, match="no usable focal length"):
        convert(Tables(folder, "v1.0-mini"), "mini_train")


def test_a_sample_without_boxes_is_an_image_without_annotations(root, tmp_path):
    folder = damaged(root, tmp_path, "sample_annotation", lambda _rows: [])
    found = json.loads(convert(Tables(folder, "v1.0-mini"), "mini_train").read_text())
    assert len(found["images"]) == 18
    assert found["annotations"] == []


def test_a_row_that_is_missing_is_named(root, tmp_path):
    folder = damaged(root, tmp_path, "ego_pose", lambda rows: rows[1:])
    with pytest.raises(KeyError, match="which another table refers to"):
        convert(Tables(folder, "v1.0-mini"), "mini_train")


class TestRadarFiles:
    def test_they_are_read_as_they_were_written(self, tmp_path):
        points = np.zeros(3, RECORD)
        points["x"], points["vx_comp"], points["ambig_state"] = [1, 2, 3], [0.5, 0, -1], 3
        points["invalid_state"][1] = 4
        write_radar(tmp_path / "a.pcd", points)
        found = read_radar(tmp_path / "a.pcd")
        assert found[0].tolist() == [1, 3]
        assert found[8].tolist() == [0.5, -1]

    def test_an_empty_one(self, tmp_path):
        points = np.zeros(1, RECORD)
        points["x"] = np.nan
        write_radar(tmp_path / "a.pcd", points)
        assert read_radar(tmp_path / "a.pcd").shape == (18, 0)

    def test_one_that_is_cut_short_is_named(self, tmp_path):
        write_radar(tmp_path / "a.pcd", np.zeros(5, RECORD))
        content = (tmp_path / "a.pcd").read_bytes()
        (tmp_path / "a.pcd").write_bytes(content[:-50])
        with pytest.raises(ValueError, match=r"a\.pcd is cut short: 5 points need 215 bytes"):
            read_radar(tmp_path / "a.pcd")

    def test_another_version_is_named(self, tmp_path):
        write_radar(tmp_path / "a.pcd", np.zeros(1, RECORD))
        content = (tmp_path / "a.pcd").read_bytes()
        (tmp_path / "a.pcd").write_bytes(content.replace(b"VERSION 0.7", b"VERSION 0.8"))
        with pytest.raises(ValueError, match=r"another version: expected VERSION 0\.7, got 0\.8"):
            read_radar(tmp_path / "a.pcd")
        (tmp_path / "a.pcd").write_bytes(content.replace(b"dyn_prop", b"dyn_what"))
        with pytest.raises(ValueError, match="another version: expected FIELDS"):
            read_radar(tmp_path / "a.pcd")

    def test_other_files_are_named(self, tmp_path):
        (tmp_path / "a.pcd").write_bytes(b"hello")
        with pytest.raises(ValueError, match="no radar file"):
            read_radar(tmp_path / "a.pcd")
        with pytest.raises(FileNotFoundError, match=r"b\.pcd is missing"):
            read_radar(tmp_path / "b.pcd")
