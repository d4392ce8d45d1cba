import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from steploop.engine.checkpoint import read_checkpoint, write_checkpoint

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Small enough that starting the processes takes longest.
TINY = (
    *("DATASETS.TRAIN", "('squares',)", "DATASETS.TEST", "('squares',)", "SOLVER.MAX_ITER", "9", "LOG_PERIOD", "2"),
    *("SOLVER.CHECKPOINT_PERIOD", "3", "SOLVER.IMS_PER_BATCH", "16", "TEST.EVAL_PERIOD", "6"),
    *("SOLVER.BASE_LR", "0.01", "SOLVER.WARMUP_ITERS", "0"),
    *("INPUT.SIZE_TRAIN", "(16, 16)", "INPUT.SIZE_TEST", "(16, 16)", "DATALOADER.NUM_WORKERS", "1"),
)


@pytest.fixture
def squares(tmp_path):
    """Return a folder with a data set of 10 identities, so noisy that any change of the weights changes its mAP."""
    rng = np.random.default_rng(0)
    colours = rng.integers(100, 140, size=(10, 1, 1, 3))
    for folder, cameras in [
        ("bounding_box_train", (1, 2, 3, 4)),
        ("query", (1,)),
        ("bounding_box_test", (2, 3, 4)),
    ]:
        path = tmp_path / "data" / "squares" / folder
        path.mkdir(parents=True)
        for identity in range(10):
            for camera in cameras:
                pixels = colours[identity] + rng.integers(-90, 90, size=(16, 16, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(path / f"{identity + 1:04d}_c{camera}s1_000001_01.png")
    return tmp_path / "data"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, BENCHMARKS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={name: value for name, value in os.environ.items() if name != "STEPLOOP_DATASETS"},
    )


def test_three_kills_change_no_bit_and_a_changed_bit_is_found(tmp_path, squares):
    keep = tmp_path / "keep"
    done = run("crash_test.py", "--kills", 3, "--data", squares, "--keep", keep, "--async", "--overrides", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line[:4].strip().isdecimal()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert "the runs agree bit for bit" in done.stdout
    in_saves = int(done.stdout.split(" of them inside a save")[0].split()[-1])
    assert in_saves >= 2

    final = keep / "killed" / "model_final.pth"
    checkpoint = read_checkpoint(final)
    moments = next(iter(checkpoint["trainer"]["_trainer"]["optimizer"]["state"].values()))["exp_avg"]
    moments.view(-1).view(torch.int32)[0] ^= 1
    write_checkpoint(final, checkpoint)
    metrics = keep / "killed" / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"iteration": 3,', '"iteration": 4,', 1))
    found = run("compare_runs.py", keep / "whole", keep / "killed")
    assert found.returncode == 1
    assert ".exp_avg: tensors that differ" in found.stdout
    assert "metrics.json, line 2" in found.stdout
    assert "the runs differ" in found.stdout


def test_a_test_that_cannot_be_made_says_why(squares):
    done = run("crash_test.py", "--kills", 30, "--data", squares, "--overrides", *TINY)
    assert (done.returncode, done.stdout) == (2, "")
    assert "30 kills need as many steps and a quarter as many saves; this config has 9 steps and 3 saves" in done.stderr
