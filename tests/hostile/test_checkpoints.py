import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from fuzzing import CHECKPOINT, CORRECT, POINTER, alarm, tally
from fuzzing.checkpoints import Model, seeds
from steploop.engine.checkpoint import Checkpointer, CheckpointError, load_weights, read_checkpoint
from steploop.engine.checkpoint.resume import find_newest_valid
from steploop.engine.run.lock import FolderLock

SUPPORT = Path(__file__).parents[1] / "support"
# pickletools, torch and numpy warn about much of what is tried.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def saved(tree, path):
    torch.save(tree, path)
    return path


def test_mutated_checkpoints(box):
    outcomes = tally(CHECKPOINT, box, 500)
    assert outcomes[CORRECT] > 20 and outcomes["DamagedCheckpoint"] > 200 and outcomes["UnsafeCheckpoint"] > 50


def test_whatever_last_checkpoint_holds_the_whole_file_is_found(box):
    assert tally(POINTER, box, 120) == {CORRECT: 120}


def test_bombs_take_little_memory(tmp_path):
    command = [sys.executable, "-m", "fuzzing.bombs", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    outcomes = json.loads(result.stdout)
    # What is no record is as good as none, and a line of metrics that never ends is cut off.
    read = {name for name, outcome in outcomes.items() if outcome == "read"}
    ignored = {f"{kind} {name}.json" for kind in ("terabyte", "endless") for name in ("results", "manifest")}
    assert read == ignored | {"terabyte metrics.json"}
    errors = {outcome.partition(":")[0] for name, outcome in outcomes.items() if name not in read}
    assert errors == {"ValueError", "ConfigError", "CheckpointError", "DamagedCheckpoint", "FileNotFoundError"}
    assert len(outcomes) > 25


def test_a_state_dict_beside_a_model_that_is_none(tmp_path):
    # The number was taken for the weights.
    path = saved({"model": 3, "state_dict": {"w": torch.ones(1)}}, tmp_path / "x.pth")
    assert read_checkpoint(path) == {"model": {"w": torch.ones(1)}}


@pytest.mark.parametrize(
    "metadata", [3, {"": 3}, {3: {}}, {"norm": {"version": "x"}}, {"": {"version": torch.ones(1)}}]
)
def test_odd_versions_of_modules(tmp_path, metadata):
    # torch's load_state_dict raised AttributeError and TypeError for them.
    state = OrderedDict(Model().state_dict())
    state._metadata = metadata
    with pytest.raises(CheckpointError, match="_metadata"):
        Checkpointer(Model()).load(saved({"model": state}, tmp_path / "x.pth"))


@pytest.mark.parametrize("extra", [{torch.ones(1): 1}, {"x": torch.ones(1).untyped_storage()}])
def test_what_is_not_plain_is_refused(tmp_path, extra):
    with pytest.raises(CheckpointError, match="tensor as the key|no plain data"):
        read_checkpoint(saved({"model": {"w": torch.ones(1)}, **extra}, tmp_path / "x.pth"))


def test_a_type_that_the_model_cannot_take():
    # torch raised RuntimeError.
    state = Model().state_dict()
    state["conv.weight"] = torch.empty(2, 1, 3, 3, dtype=torch.uint8).view(torch.bits8)
    with pytest.raises(ValueError, match="the model cannot take"):
        load_weights(Model(), state)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_a_pointer_that_is_no_file(tmp_path, make):
    (tmp_path / "model.pth").write_bytes(seeds()["ours"])
    make(tmp_path / "last_checkpoint")
    with alarm(20):
        assert find_newest_valid(tmp_path).path == tmp_path / "model.pth"


def test_a_pointer_to_the_lock_does_not_drop_it(tmp_path):
    # Any descriptor of the file that this process closes would.
    (tmp_path / "model.pth").write_bytes(seeds()["ours"])
    (tmp_path / "last_checkpoint").write_text(".lock")
    code = f"from steploop.engine.run.lock import FolderLock; FolderLock({str(tmp_path)!r})"
    with FolderLock(tmp_path):
        find_newest_valid(tmp_path)
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert "another run is going on" in second.stderr


@pytest.mark.parametrize("text", ["[" * 1000, '{"host": "%s", "pid": 1' + "0" * 30 + ', "since": ""}'])
def test_a_lock_that_holds_anything(tmp_path, monkeypatch, text):
    # json raised RecursionError, os.kill OverflowError, where the file system has no locks.
    monkeypatch.setattr("fcntl.lockf", _no_locks)
    (tmp_path / ".lock").write_text(text.replace("%s", os.uname().nodename))
    try:
        FolderLock(tmp_path).release()
    except RuntimeError as error:
        assert "another run is going on" in str(error)


def _no_locks(*args):
    raise OSError(38, "no locks here")
