import json

import pytest
import torch

from exact_runs import differences, train
from steploop.engine import TorchProfiler, hooks
from tiny import tiny_trainer
from tiny_project import TinyTrainer, tiny_cfg


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_trace_of_each_step_that_is_asked_for(tmp_path):
    trainer = tiny_trainer()
    trainer.register_hooks([TorchProfiler(lambda t: t.iter == 1, str(tmp_path), save_tensorboard=False)])
    trainer.train(0, 3)
    assert files(tmp_path) == ["profiler-trace-iter1.json"]
    names = {event["name"] for event in json.loads((tmp_path / "profiler-trace-iter1.json").read_text())["traceEvents"]}
    assert {"aten::addmm", "Optimizer.step#SGD.step"} <= names


def test_a_file_of_each_process_for_tensorboard(tmp_path):
    trainer = tiny_trainer()
    trainer.register_hooks([TorchProfiler(lambda t: t.iter == 0, str(tmp_path))])
    trainer.train(0, 2)
    (name,) = files(tmp_path)
    assert name.startswith("log/profiler-tensorboard-iter0/worker0.") and name.endswith(".pt.trace.json")


def test_a_step_that_fails_leaves_no_profiler_behind(tmp_path):
    def fail(trainer):
        raise RuntimeError("the cause")

    trainer = tiny_trainer()
    profiler = TorchProfiler(lambda t: True, str(tmp_path), save_tensorboard=False)
    trainer.register_hooks([profiler, hooks.CallbackHook(after_backward=fail)])
    with pytest.raises(RuntimeError, match="the cause"):
        trainer.train(0, 2)
    assert not torch.autograd._profiler_enabled() and files(tmp_path) == []


def test_the_config_turns_it_on_and_changes_no_bit(tmp_path):
    train(tmp_path / "run", "PROFILER.STEPS", "(4, 5)", kill=("before_step", 3))
    train(tmp_path / "run", "PROFILER.STEPS", "(4, 5)")
    train(tmp_path / "plain")
    assert differences(tmp_path / "run", tmp_path / "plain") == []
    (name,) = files(tmp_path / "run" / "profiler")
    assert name.startswith("log/profiler-tensorboard-iter4/")


@pytest.mark.parametrize("steps", ["(5,)", "(5, 5)", "(-1, 5)"])
def test_steps_that_are_no_range(tmp_path, steps):
    with pytest.raises(ValueError, match="PROFILER.STEPS"):
        TinyTrainer(tiny_cfg(tmp_path, "PROFILER.STEPS", steps))
