"""The tools themselves, where they are installed, without a network."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "support"
READ_STORE = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
(experiment,) = [each for each in client.search_experiments() if each.name == "steploop"]
(run,) = client.search_runs([experiment.experiment_id])
print(json.dumps({
    "name": run.info.run_name,
    "status": run.info.status,
    "max_iter": run.data.params["SOLVER.MAX_ITER"],
    "steps": [metric.step for metric in client.get_metric_history(run.info.run_id, "total_loss")],
    "files": [file.path for folder in ("", "images") for file in client.list_artifacts(run.info.run_id, folder)],
}))
"""


def needs(*modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed (extra trackers)")


@pytest.fixture
def python(tmp_path):
    """Run Python in a home of its own; return what it printed."""

    def python(*command, **env):
        environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(SUPPORT), "OMP_NUM_THREADS": "1", **env}
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return python


@needs("wandb")
def test_weights_and_biases_offline(tmp_path, python):
    run = tmp_path / "run"
    for more in ("10",), ("14", "--resume"):
        printed = python(SUPPORT / "tracker_run.py", run, "wandb", *more, WANDB_MODE="offline")
        assert "failed" not in printed and "WARNING" not in printed, printed
    files = sorted(run.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2 and files[0].name == files[1].name  # two folders, one run
    for file in files:
        assert b"total_loss" in file.read_bytes()
        assert list(file.parent.glob("files/media/images/a/picture_*.png"))


@needs("mlflow", "sqlalchemy", "alembic")
def test_mlflow_in_a_file(tmp_path, python):
    run = tmp_path / "run"
    for more in ("10",), ("14", "--resume"):
        printed = python(SUPPORT / "tracker_run.py", run, "mlflow", *more)
        assert "failed" not in printed, printed
    found = json.loads(python("-c", READ_STORE, run / "mlflow/mlflow.db").splitlines()[-1])
    assert (found["name"], found["status"], found["max_iter"]) == ("run", "FINISHED", "10")
    assert found["steps"] == [1, 3, 5, 7, 9, 11, 13]
    assert "config.yaml" in found["files"]
    assert len([name for name in found["files"] if name.endswith(".png")]) == 5  # of the steps 0, 3, 6, 9 and 12
