"""Tests of steploop/projects/centerfusion/synthetic."""

import json

import numpy as np
import pytest

from steploop.projects.centerfusion.data.classes import CLASSES
from steploop.projects.centerfusion.data.convert import convert
from steploop.projects.centerfusion.data.records import read_radar_points, read_records
from steploop.projects.centerfusion.data.tables import Tables
from steploop.projects.centerfusion.evaluation.truth import read_truth
from steploop.projects.centerfusion.synthetic.roads import RoadOptions, write_roads
from steploop.projects.centerfusion.synthetic.world import draw_things
from tiny_centerfusion import write_tiny_roads


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_tiny_roads(tmp_path_factory.mktemp("roads"))


def test_they_are_a_function_of_their_seed(root, tmp_path):
    again = write_tiny_roads(tmp_path)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    files = [path for path in files if not path.parts[0].startswith("annotations_")]  # those of another test
    assert len(files) == 13 + 1 + 22 + 44
    for file in files:
        assert (root / file).read_bytes() == (again / file).read_bytes(), file
    write_roads(tmp_path / "other", RoadOptions(samples=2, val_samples=2, size=(64, 36), sweeps=1, seed=1))
    tables = [(folder / "v1.0-mini" / "sample_annotation.json").read_text() for folder in (root, tmp_path / "other")]
    assert tables[0] != tables[1]


def test_all_classes_appear_and_objects_are_near():
    rng = np.random.default_rng(0)
    things = [thing for _ in range(150) for thing in draw_things(rng)]
    names = [thing.name for thing in things]
    assert set(names) == set(CLASSES)
    assert min(names.count(name) for name in CLASSES) > 10
    assert all(5 <= np.hypot(thing.x, thing.y) <= 22 + 7 for thing in things)
    moving = [thing.speed > 0 for thing in things if thing.name in ("car", "truck", "bus")]
    assert 0.3 < np.mean(moving) < 0.7


def test_boxes_velocities_and_radar_fit_each_other(root):
    """Radar points lie at boxes, and their speed is that of the boxes along the line of sight."""
    tables = Tables(root, "v1.0-mini")
    records = read_records(convert(tables, "mini_train", 2), root)
    assert len(records) == 16
    checked = 0
    for record in records:
        boxes, points = record["boxes"], read_radar_points(record)
        moving = points[3] == 0
        for x, z, vx, vz in points[:, moving][[0, 2, 8, 9]].T:
            offset = boxes["location"][:, [0, 2]] - [x, z]
            nearest = np.argmin(np.hypot(*offset.T)) if len(offset) else None
            if nearest is None or np.hypot(*offset[nearest]) > 2.5:
                continue
            velocity = boxes["velocity"][nearest, [0, 2]]
            sight = np.array([vx, vz]) / np.hypot(vx, vz)
            assert abs(np.hypot(vx, vz) - abs(velocity @ sight)) < 1.0
            checked += 1
    assert checked > 5


def test_they_can_be_evaluated(root):
    truth = read_truth(Tables(root, "v1.0-mini"), "mini_val")
    assert len(truth.tokens) == 6
    true = truth.evaluated_truth()
    assert len(true) > 5
    assert np.isfinite(true.velocity[:6]).any()


def test_what_is_there_is_not_overwritten(root):
    with pytest.raises(FileExistsError, match="remove it"):
        write_roads(root, RoadOptions())


def test_tables_refer_to_rows_that_exist(root):
    rows = {path.stem: json.loads(path.read_text()) for path in (root / "v1.0-mini").iterdir()}
    assert len(rows) == 13
    tokens = {name: {row["token"] for row in table} for name, table in rows.items()}
    for row in rows["sample_data"]:
        assert row["sample_token"] in tokens["sample"]
        assert row["calibrated_sensor_token"] in tokens["calibrated_sensor"]
        assert row["prev"] in tokens["sample_data"] | {""}
    for row in rows["sample_annotation"]:
        assert row["instance_token"] in tokens["instance"]
        assert row["prev"] in tokens["sample_annotation"] | {""}
        assert row["next"] in tokens["sample_annotation"] | {""}
    for row in rows["instance"]:
        assert row["category_token"] in tokens["category"]
        assert row["first_annotation_token"] in tokens["sample_annotation"]
