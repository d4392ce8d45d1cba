"""Tests of convert.py and check_data.py, as a person starts them, and of data/check.py and visualization.py."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steploop.projects.centerfusion import from_config
from steploop.projects.centerfusion.data.check import check_records
from steploop.projects.centerfusion.data.datasets import load_split, prepare
from steploop.projects.centerfusion.visualization import colour_of, draw_annotated, draw_sample, pick, true_boxes
from tiny_centerfusion import tiny_centerfusion_cfg, write_tiny_roads

PROJECT = Path(__file__).parents[3] / "projects/centerfusion"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_tiny_roads(tmp_path_factory.mktemp("roads"))


@pytest.fixture(scope="module")
def records(root):
    prepare(f"{root}/mini_train", 3)
    return load_split(f"{root}/mini_train", 3)


@pytest.fixture
def options(tmp_path, root):
    return from_config.sample_options(tiny_centerfusion_cfg(tmp_path, root))


def run(script, *arguments, root):
    return subprocess.run(
        [sys.executable, PROJECT / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "STEPLOOP_DATASETS": str(root.parent)},
    )


def test_tables_are_converted_and_looked_at(root, tmp_path):
    done = run("convert.py", root, "--version", "v1.0-mini", "--sweeps", 2, root=root)
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.split()] == ["mini_train.json", "mini_val.json"]
    done = run("check_data.py", f"{root.name}/mini_val", "--pictures", tmp_path, "--samples", 2, "--json", root=root)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 6
    assert found["problems"] == []
    assert len(list(tmp_path.glob("sample_*.png"))) == 2


def test_a_wrong_folder_is_one_line_and_no_traceback(tmp_path):
    done = run("convert.py", tmp_path / "nothing", root=tmp_path)
    assert done.returncode == 1
    assert "is missing: a data set in nuScenes' layout has" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_network_can_learn_from_is_counted(records, options):
    report = check_records(records, options)
    assert report.ok
    total = {column: sum(found[column] for found in report.counts.values()) for column in ("boxes", "center")}
    assert total["boxes"] == sum(len(record["boxes"]["category"]) for record in records)
    assert 0 < total["center"] <= total["boxes"]
    assert sum(found["with radar"] for found in report.counts.values()) > 0
    assert "points per box" in report.as_text()
    cars = report.counts["car"]
    assert cars["attribute"] <= cars["boxes"]


def test_problems_are_named(records, options, tmp_path):
    lost = [{**record, "file": str(tmp_path / "a.jpg")} for record in records]
    assert "16 images are missing" in check_records(lost, options).as_text()
    empty = [{**r, "boxes": {name: value[:0] for name, value in r["boxes"].items()}} for r in records]
    report = check_records(empty, options)
    assert not report.ok
    assert report.num_empty == 16
    assert "no box passes the masks" in report.as_text()
    blind = [{**record, "radar": (*record["radar"][:2], 0)} for record in records]
    assert "no box has radar" in check_records(blind, options).as_text()
    assert check_records(blind, replace(options, empty_radar=True)).ok


class TestPictures:
    def test_boxes_are_drawn_where_they_are(self, records):
        record = next(r for r in records if len(r["boxes"]["category"]))
        before = np.asarray(Image.open(record["file"]).convert("RGB")).astype(int)
        after = draw_annotated(record)
        assert after.shape == (72, 128 + 72, 3)
        changed = np.abs(after[:, :128].astype(int) - before).max(2) > 60
        x, y, w, h = record["boxes"]["bbox"][0]
        inside = changed[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1]
        assert inside.mean() > changed.mean()

    def test_weak_predictions_are_not_drawn(self, records):
        record = next(r for r in records if len(r["boxes"]["category"]))
        predicted = {**true_boxes(record), "score": np.full(len(record["boxes"]["category"]), 0.9)}
        strong, weak = (
            draw_sample(record, predicted),
            draw_sample(record, {**predicted, "score": predicted["score"] / 9}),
        )
        assert strong.shape == (144, 128 + 144, 3)
        assert np.abs(strong.astype(int) - weak).max() > 60

    def test_colours_differ_and_samples_are_spread(self):
        assert len({colour_of(label) for label in range(10)}) == 10
        assert pick(3, range(11)) == [0, 5, 10]
        assert pick(0, range(11)) == []
        assert pick(9, range(2)) == [0, 1]
