"""The script as a person starts it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from steploop.projects.reid.data.synthetic import Recipe, generate_pedestrians
from tiny_reid import OPTIONS

SCRIPT = Path(__file__).parents[3] / "projects/reid/train_net.py"


def train_net(folder, *args):
    """Run the script in a folder, with its data sets there."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "STEPLOOP_DATASETS": str(folder)}
    command = [sys.executable, str(SCRIPT), *map(str, args)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def config(tmp_path):
    """A file that trains the tiny network on a few synthetic people."""
    path = tmp_path / "tiny.yaml"
    tree: dict = {"DATASETS": {"TRAIN": ["people"], "TEST": ["people"]}}
    for name, value in OPTIONS.items():
        *sections, key = name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = list(value) if isinstance(value, tuple) else value
    path.write_text(yaml.safe_dump(tree))
    return path


def test_help(tmp_path):
    result = train_net(tmp_path, "--help")
    assert result.returncode == 0, result.stderr
    assert "--config-file" in result.stdout
    assert re.search(r"train_net\.py --config-file \S+ --resume", result.stdout)


def test_print_config_shows_what_would_run(tmp_path, config):
    result = train_net(tmp_path, "--config-file", config, "--print-config", "SOLVER.MAX_ITER", "7")
    assert result.returncode == 0, result.stderr
    shown = yaml.safe_load(result.stdout)
    assert shown["SOLVER"]["MAX_ITER"] == 7
    assert shown["INPUT"]["SIZE_TRAIN"] == [32, 16]
    assert shown["OUTPUT_DIR"] == "output/tiny"
    assert not (tmp_path / "output").exists()


def test_a_typo_is_one_line_and_no_traceback(tmp_path, config):
    result = train_net(tmp_path, "--config-file", config, "SOLVER.MAX_ITERS", "7")
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(r"error: .*SOLVER\.MAX_ITERS.*MAX_ITER\b.*\n", result.stderr, re.S)
    assert "Traceback" not in result.stderr


def test_two_processes_train_and_a_finished_run_is_told_from_an_interrupted_one(tmp_path, config):
    generate_pedestrians(tmp_path / "people", Recipe(num_train=4, num_test=2, num_cameras=2, per_camera=2))
    command = ("--config-file", config, "--num-gpus", "2", "MODEL.DEVICE", "cpu")
    first = train_net(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    run = tmp_path / "output" / "tiny"
    metrics = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [1, 3, 4]
    assert 0 <= metrics[-1]["people/Rank-1"] <= 100
    for name in ("model_final.pth", "retrievals_people.png", "config.yaml", "log.txt"):
        assert (run / name).stat().st_size > 0
    log = (run / "log.txt").read_text()
    assert "Rank of this process: 0 of 2" in log
    assert "people" in log

    files = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix in (".pth", ".json", ".png")}
    again = train_net(tmp_path, *command[:2], "--resume", *command[4:])
    assert again.returncode == 0, again.stderr
    assert "This run is finished: iteration 3 of 4" in (run / "log.txt").read_text()
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name in files} == files
    assert not (run / "previous").exists()
