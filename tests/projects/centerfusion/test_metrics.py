"""Tests of steploop/projects/centerfusion/evaluation: matching.py, metrics.py, truth.py and world_boxes.py."""

import importlib.util
import json
import math
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from shared_files import shared
from steploop.projects.centerfusion.data.tables import Tables
from steploop.projects.centerfusion.evaluation.matching import find_pairs, match
from steploop.projects.centerfusion.evaluation.metrics import compute_metrics, running_mean
from steploop.projects.centerfusion.evaluation.truth import read_truth
from steploop.projects.centerfusion.evaluation.world_boxes import (
    WorldBoxes,
    boxes_from_entries,
    read_results,
    write_results,
)
from tiny_centerfusion import write_tiny_roads


def assert_equal(actual, expected, path=""):
    """Compare nested figures to 1e-9."""
    if isinstance(expected, dict):
        assert actual.keys() >= expected.keys(), path
        for key, value in expected.items():
            assert_equal(actual[key], value, f"{path}/{key}")
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(actual), path
    elif isinstance(expected, (int, float)) and not isinstance(expected, bool):
        assert abs(actual - expected) <= 1e-9, (path, actual, expected)
    else:
        assert actual == expected, path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("nds")
    with zipfile.ZipFile(shared("golden/centerfusion/nds_tables.zip")) as archive:
        archive.extractall(root)
    return root


@pytest.fixture(scope="module")
def truth(folder):
    return read_truth(Tables(folder, "v1.0-mini"), "mini_val")


def official_results():
    return json.loads(shared("golden/centerfusion/nds_results.json").read_text())


def test_the_devkits_figures(truth, caplog):
    expected = json.loads(shared("golden/centerfusion/nds_metrics.json").read_text())
    results = official_results()
    with caplog.at_level("INFO"):
        predicted = truth.evaluated_predictions(boxes_from_entries(results["results"], truth.tokens))
        true = truth.evaluated_truth()
    metrics = compute_metrics(true, predicted)
    assert_equal(metrics.summary(results["meta"], 1.0), expected)
    assert metrics.summary(results["meta"], 1.0).keys() == expected.keys() | {"eval_time"}
    numbers = [int(word) for line in caplog.messages for word in line.replace(";", " ").split() if word.isdigit()]
    assert numbers == [457, 356, 350, 392, 304, 264, 258]  # after each filter, as in the devkit's log


@pytest.mark.parametrize("case", range(6))
def test_the_devkits_cases(case):
    figures = json.loads(shared("golden/centerfusion/nds_cases.json").read_text())[case]
    tokens = list(figures["pred"])
    true, predicted = (boxes_from_entries(figures[side], tokens) for side in ("gt", "pred"))
    assert_equal(compute_metrics(true, predicted).summary({}, 0.0), figures["metrics"])


def random_boxes(rng, count, samples):
    return WorldBoxes(
        sample=rng.integers(samples, size=count),
        translation=rng.uniform(-6, 6, (count, 3)),
        size=rng.uniform(1, 2, (count, 3)),
        rotation=rng.standard_normal((count, 4)),
        velocity=rng.standard_normal((count, 2)),
        label=np.zeros(count, np.int64),
        attribute=rng.integers(9, size=count),
        score=rng.integers(10, size=count) / 10,
        sensor=np.zeros(count, np.int64),
    )


@pytest.mark.parametrize("seed", range(5))
def test_rounds_match_as_one_prediction_after_the_other(seed):
    rng = np.random.default_rng(seed)
    predicted, true = random_boxes(rng, 200, 7), random_boxes(rng, 40, 7)
    for threshold in (0.5, 4.0):
        taken, expected = set(), []
        for p in range(len(predicted)):
            best, nearest = math.inf, -1
            for t in range(len(true)):
                if true.sample[t] == predicted.sample[p] and t not in taken:
                    distance = np.linalg.norm(true.translation[t, :2] - predicted.translation[p, :2])
                    if distance < best:
                        best, nearest = distance, t
            expected.append(nearest if best < threshold else -1)
            if best < threshold:
                taken.add(nearest)
        assert match(find_pairs(predicted, true, 4.0), 200, 40, threshold).tolist() == expected


def test_nothing_predicted_and_nothing_true():
    nothing = WorldBoxes.from_rows([])
    metrics = compute_metrics(nothing, nothing)
    assert (metrics.nds, metrics.mean_ap) == (0, 0)
    assert math.isnan(metrics.errors["traffic_cone"]["vel_err"])


def test_running_means():
    assert running_mean(np.array([np.nan, 2, np.nan, 4])).tolist() == [0, 2, 2, 3]
    assert running_mean(np.array([np.nan, np.nan])).tolist() == [1, 1]


class TestResultFiles:
    def test_they_are_read_as_they_were_written(self, tmp_path):
        tokens = ["a", "b", "c"]
        boxes = random_boxes(np.random.default_rng(0), 30, 2)
        write_results(tmp_path / "results.json", boxes, tokens, use_radar=True)
        content = json.loads((tmp_path / "results.json").read_text())
        assert list(content["results"]) == tokens
        assert content["results"]["c"] == []
        assert content["meta"]["use_radar"]
        found = read_results(tmp_path / "results.json", tokens)
        np.testing.assert_array_equal(found.translation, boxes.best_of_each_sample().translation)
        scores = [entry["detection_score"] for entry in content["results"]["a"]]
        assert scores == sorted(scores, reverse=True)

    def test_the_best_500_of_each_sample_are_kept(self):
        boxes = random_boxes(np.random.default_rng(0), 1200, 2)
        kept = boxes.best_of_each_sample()
        assert np.bincount(kept.sample).tolist() == [500, 500]
        for sample in range(2):
            scores = np.sort(boxes.score[boxes.sample == sample])[::-1]
            assert np.sort(kept.score[kept.sample == sample])[::-1].tolist() == scores[:500].tolist()

    def test_samples_that_do_not_match_the_split_are_named(self, truth):
        results = official_results()["results"]
        first = next(iter(results))
        with pytest.raises(ValueError, match="1 of 12 are missing and 0 do not belong"):
            boxes_from_entries({k: v for k, v in results.items() if k != first}, truth.tokens)
        with pytest.raises(ValueError, match="0 of 12 are missing and 1 do not belong"):
            boxes_from_entries({**results, "x": []}, truth.tokens)

    def test_wrong_entries_are_named(self):
        entry = {"detection_name": "ufo", "attribute_name": ""}
        with pytest.raises(ValueError, match="unknown detection_name 'ufo'"):
            boxes_from_entries({"a": [entry]}, ["a"])
        with pytest.raises(ValueError, match="unknown attribute_name"):
            boxes_from_entries({"a": [{**entry, "detection_name": "car", "attribute_name": "x"}]}, ["a"])
        with pytest.raises(ValueError, match="has 501 boxes"):
            boxes_from_entries({"a": [entry] * 501}, ["a"])

    def test_missing_and_wrong_files_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="--eval-only"):
            read_results(tmp_path / "a.json", [])
        (tmp_path / "a.json").write_text("[]")
        with pytest.raises(ValueError, match="no result file"):
            read_results(tmp_path / "a.json", [])


def test_a_sample_without_lidar_is_named(folder, tmp_path):
    (tmp_path / "v1.0-mini").mkdir()
    for path in (folder / "v1.0-mini").iterdir():
        text = path.read_text().replace("LIDAR_TOP", "LIDAR_BOTTOM")
        (tmp_path / "v1.0-mini" / path.name).write_text(text)
    with pytest.raises(ValueError, match="no data of LIDAR_TOP"):
        read_truth(Tables(tmp_path, "v1.0-mini"), "mini_val")


DEVKIT = """
import json, sys
from nuscenes import NuScenes
from nuscenes.eval.detection.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval

root, results, out = sys.argv[1:]
tables = NuScenes("v1.0-mini", root, verbose=False)
evaluation = DetectionEval(tables, config_factory("detection_cvpr_2019"), results, "mini_val", out, verbose=False)
metrics = evaluation.evaluate()[0].serialize()
print(json.dumps({name: metrics[name] for name in ("nd_score", "mean_ap", "tp_errors", "label_aps")}))
"""


def test_the_official_devkit_reads_our_tables_and_result_file(tmp_path):
    """In a process of its own: the devkit's libraries change the environment."""
    if importlib.util.find_spec("nuscenes") is None:
        pytest.skip("nuscenes-devkit is not installed")
    root = write_tiny_roads(tmp_path)
    truth = read_truth(Tables(root, "v1.0-mini"), "mini_val")
    rng = np.random.default_rng(0)
    moved = replace(
        truth.boxes,
        translation=truth.boxes.translation + rng.normal(0, 0.7, truth.boxes.translation.shape),
        velocity=np.nan_to_num(truth.boxes.velocity) + rng.normal(0, 1, truth.boxes.velocity.shape),
        score=rng.random(len(truth.boxes)),
    )
    write_results(tmp_path / "results.json", moved, truth.tokens, use_radar=True)
    metrics = compute_metrics(truth.evaluated_truth(), truth.evaluated_predictions(moved.best_of_each_sample()))
    command = [sys.executable, "-c", DEVKIT, str(root), str(tmp_path / "results.json"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs["mean_ap"] > 0.05
    assert_equal(metrics.summary({}, 0.0), theirs)
