import os
import subprocess
import sys
from pathlib import Path

import pytest

from steploop.engine.cli import doctor

SUPPORT = Path(__file__).parents[2] / "support"
SETTINGS = [
    *("MODEL.DEVICE", "cpu", "SEED", "3", "DATASETS.TRAIN", "('tiny',)", "DATASETS.TEST", "('tiny',)"),
    *("DATALOADER.NUM_WORKERS", "1", "SOLVER.IMS_PER_BATCH", "4", "TEST.EVAL_PERIOD", "1"),
]


@pytest.fixture
def examine(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command on a script, without processes, and returns (status, lines by check)."""
    monkeypatch.setattr(doctor, "launch", lambda *args, **kwargs: None)
    monkeypatch.setattr(doctor, "LOADER_SECONDS", 0.1)

    def examine(*lines, overrides=()):
        (tmp_path / "train.py").write_text("from tiny_project import TinyTrainer\n" + "\n".join(lines))
        output = ["OUTPUT_DIR", str(tmp_path / "run"), *overrides]
        status = doctor.main(["--script", str(tmp_path / "train.py"), *SETTINGS, *output])
        assert [path.name for path in tmp_path.iterdir()] == ["train.py"]
        return status, {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1}

    return examine


def test_as_a_command_it_finds_everything_in_order_and_leaves_nothing(tmp_path):
    (tmp_path / "train.py").write_text("from tiny_project import TinyTrainer")
    command = [sys.executable, "-m", "steploop.engine.cli.doctor", "--script", "train.py", *SETTINGS]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [line.split()[:2] for line in done.stdout.splitlines()]
    assert verdicts == [["OK", check.__name__[1:]] for check in doctor.CHECKS]
    assert "2 met over gloo" in done.stdout and "batches/s with 1 workers" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_what_needs_a_trainer_is_left_out_without_one(examine, capsys, tmp_path):
    assert doctor.main(["OUTPUT_DIR", str(tmp_path / "run"), "MODEL.DEVICE", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.count("skipped") == 3 and "--script train_net.py" in out and "FAILED" not in out


def test_a_step_that_fails_is_told_and_the_rest_goes_on(examine):
    status, lines = examine(
        "class Breaks(TinyTrainer):",
        "    def run_step(self): raise ValueError('no gradient')",
        "del TinyTrainer",
    )
    assert status == 1
    assert lines["step"].startswith("FAILED") and lines["step"].endswith("ValueError: no gradient")
    assert lines["memory"].startswith("OK") and lines["loader"].startswith("OK")


def test_a_data_set_that_is_missing_is_told(examine):
    status, lines = examine(overrides=["DATASETS.TRAIN", "('tinny',)"])
    assert status == 1
    assert lines["trainer"].startswith("FAILED") and "did you mean 'tiny'?" in lines["trainer"]
    assert lines["loader"].startswith("skipped") and lines["step"].startswith("skipped")


def test_a_folder_that_cannot_be_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "launch", lambda *args, **kwargs: None)
    (tmp_path / "file").write_text("")
    assert doctor.main(["OUTPUT_DIR", str(tmp_path / "file" / "run"), "MODEL.DEVICE", "cpu"]) == 1
    assert "FAILED   folder" in capsys.readouterr().out


def test_too_little_space_for_checkpoints_is_told(examine, monkeypatch):
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    status, lines = examine()
    assert status == 1 and "no space for 3" in lines["step"]


def test_it_can_be_interrupted(examine):
    status, lines = examine(
        "class Waits(TinyTrainer):",
        "    def run_step(self): raise KeyboardInterrupt",
        "del TinyTrainer",
    )
    assert status == 130
    assert "step" not in lines and lines["loader"].startswith("OK")
