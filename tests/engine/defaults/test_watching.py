"""What only watches a run neither ends it nor costs its steps."""

import contextlib
import errno
import json
import logging

import pytest
import torch

from steploop.engine import EventWriter, HookBase, JSONWriter, NonFiniteLoss, hooks
from steploop.engine.checkpoint import Checkpointer, read_checkpoint
from steploop.engine.checkpoint import checkpointer as checkpointer_module
from tiny import tiny_trainer
from tiny_project import MeanOutput, TinyTrainer, tiny_cfg


def disk_is_full():
    raise OSError(errno.ENOSPC, "No space left on device")


class FailingAt:
    """An evaluation that fails at some steps."""

    def __init__(self, *steps):
        self.steps, self.calls = steps, []

    def trainer(self, folder, *overrides, cls=TinyTrainer):
        spy = self

        class Trainer(cls):
            def evaluate(self):
                spy.calls.append(self.iter)
                if self.iter in spy.steps:
                    raise MemoryError("cannot allocate the distances")
                return super().evaluate()

        torch.manual_seed(0)
        cfg = tiny_cfg(folder, "DATASETS.TEST", "('tiny',)", "WRITERS", "('json',)", *overrides)
        return Trainer(cfg)


def files(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def lines(folder):
    volatile = {"time", "data_time", "eta_seconds"}
    read = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in volatile} for line in read]


@pytest.mark.parametrize("period, asynchronous", [(4, False), (3, True)])  # due at step 3, and not
def test_a_failing_evaluation_costs_no_step(tmp_path, period, asynchronous):
    options = ("TEST.EVAL_PERIOD", 4, "SOLVER.CHECKPOINT_PERIOD", period, "SOLVER.CHECKPOINT_ASYNC", asynchronous)
    with pytest.raises(MemoryError):
        FailingAt(3).trainer(tmp_path / "a", *options).train()
    assert "model_0000003.pth" in files(tmp_path / "a")
    assert (tmp_path / "a" / "last_checkpoint").read_text() == "model_0000003.pth"
    assert lines(tmp_path / "a")[-1]["iteration"] == 3

    failing = FailingAt(3)
    resumed = failing.trainer(tmp_path / "a", *options)
    resumed.resume_or_load()
    results = resumed.train()
    assert failing.calls == [7, 10]
    whole = FailingAt().trainer(tmp_path / "b", *options)
    assert whole.train() == results
    assert torch.equal(whole.model.layer.weight, resumed.model.layer.weight)
    without = [{key: value for key, value in line.items() if key != "tiny/mean"} for line in lines(tmp_path / "b")]
    assert [line for line in lines(tmp_path / "a") if line["iteration"] not in (7, 10)] == [
        line for line in without if line["iteration"] not in (7, 10)
    ]


def test_an_evaluation_that_always_fails_is_passed_over_by_resumes(tmp_path):
    for last in (3, 7):
        trainer = FailingAt(3, 7).trainer(tmp_path, "TEST.EVAL_PERIOD", 4, "SOLVER.CHECKPOINT_PERIOD", 0)
        trainer.resume_or_load()
        with pytest.raises(MemoryError):
            trainer.train()
        assert read_checkpoint(tmp_path / f"model_000000{last}.pth")["iteration"] == last


def test_the_best_metric_of_the_step_survives_a_hook_that_fails_after_it(tmp_path):
    class Fails(HookBase):
        def after_step(self):
            if self.trainer.iter == 3:
                raise RuntimeError("broken")

    options = ("TEST.EVAL_PERIOD", 2, "SOLVER.CHECKPOINT_PERIOD", 0, "TEST.BEST", "[['tiny/mean', 'min']]")
    trainer = FailingAt().trainer(tmp_path, *options)
    trainer.register_hooks([Fails()])
    with pytest.raises(RuntimeError, match="broken"):
        trainer.train()
    state = read_checkpoint(tmp_path / "model_0000003.pth")["trainer"]["hooks"]["BestCheckpointer"]
    assert state["best_iter"] == 3
    assert lines(tmp_path)[-1]["iteration"] == 3 and "tiny/mean" in lines(tmp_path)[-1]


@pytest.mark.parametrize("where", ["step", "weights"])
def test_a_state_that_is_not_whole_is_not_saved(tmp_path, where):
    class Breaks(HookBase):
        def after_backward(self):
            if where == "step" and self.trainer.iter == 3:
                raise RuntimeError("in the step")

        def after_step(self):
            if where == "weights" and self.trainer.iter == 2:
                with torch.no_grad():
                    self.trainer.model.layer.weight.fill_(float("nan"))
                raise RuntimeError("with bad weights")

    trainer = FailingAt().trainer(tmp_path, "SOLVER.CHECKPOINT_PERIOD", 0)
    trainer.register_hooks([Breaks()])
    with pytest.raises(RuntimeError):
        trainer.train()
    assert files(tmp_path) == []


def test_a_failing_last_evaluation_leaves_the_final_checkpoint(tmp_path):
    with pytest.raises(MemoryError):
        FailingAt(10).trainer(tmp_path).train()
    assert "model_final.pth" in files(tmp_path)


class Broken(EventWriter):
    def __init__(self, *broken):
        self.broken = broken

    def write(self):
        if "write" in self.broken:
            raise ConnectionError("the server is gone")

    def flush(self):
        if "flush" in self.broken:
            disk_is_full()

    def close(self):
        if "close" in self.broken:
            raise ValueError("closed twice")


def test_a_writer_that_fails_ends_neither_the_run_nor_its_checkpoints(tmp_path, caplog):
    class Trainer(TinyTrainer):
        def build_writers(self):
            return [Broken("write", "flush", "close"), JSONWriter(tmp_path / "metrics.json")]

    trainer = Trainer(tiny_cfg(tmp_path))
    trainer.train()
    assert trainer.iter == trainer.max_iter
    assert files(tmp_path) == ["model_0000003.pth", "model_0000007.pth", "model_final.pth"]
    assert [line["iteration"] for line in lines(tmp_path)] == [1, 3, 5, 7, 9]
    end = [text for text in map(logging.LogRecord.getMessage, caplog.records) if text.startswith("In this run")]
    assert len(end) == 1 and "the metrics of Broken failed" in end[0]


@pytest.fixture
def full_disk(monkeypatch):
    """Fail the next saves of these files."""
    failing = set()
    write = checkpointer_module.write_checkpoint

    def write_checkpoint(path, plain):
        if path.stem in failing:
            failing.discard(path.stem)
            disk_is_full()
        write(path, plain)

    monkeypatch.setattr(checkpointer_module, "write_checkpoint", write_checkpoint)
    return failing


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_best_checkpoint_that_fails_does_not_count(tmp_path, full_disk, asynchronous, caplog):
    values = iter([1.0, 3.0, 2.0, 1.5])
    trainer = tiny_trainer()
    checkpointer = Checkpointer(trainer.model, tmp_path, asynchronous=asynchronous, trainer=trainer)
    best = hooks.BestCheckpointer(2, checkpointer, "set/mAP")

    def evaluate():
        with contextlib.suppress(OSError):
            checkpointer.wait()
        if trainer.iter == 3:
            full_disk.add("model_best")  # at the value 3.0
        return {"set/mAP": next(values)}

    trainer.register_hooks([hooks.EvalHook(2, evaluate, eval_after_train=False), best])
    trainer.train(0, 8)
    checkpointer.close()
    assert (best.best_metric, read_checkpoint(tmp_path / "model_best.pth")["best_metric"]) == (2.0, 2.0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_save_after_one_that_failed(tmp_path, full_disk, asynchronous, caplog):
    full_disk |= {"model_0000003", "model_best"}
    options = ("SOLVER.CHECKPOINT_ASYNC", asynchronous, "TEST.EVAL_PERIOD", 4, "TEST.BEST", "[['tiny/mean', 'min']]")
    trainer = FailingAt().trainer(tmp_path, *options)
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 4 and t.request_stop("a test"))])
    trainer.train()
    assert "model_0000004.pth" in files(tmp_path), "the stopped run is saved"
    assert "Checkpoints not written in this run: model_0000003.pth" in caplog.text


def test_the_final_checkpoint_is_what_a_run_is_for(tmp_path, full_disk):
    full_disk.add("model_final")
    with pytest.raises(OSError, match="No space"):
        FailingAt().trainer(tmp_path).train()


def test_the_records_of_a_run(tmp_path, monkeypatch, caplog):
    """results.json and the file of a loss that is not finite."""
    from steploop.engine.defaults import records

    monkeypatch.setattr(records, "write_json_atomically", lambda path, value: disk_is_full())
    assert "tiny" in FailingAt().trainer(tmp_path / "a").train()
    with pytest.raises(NonFiniteLoss):
        FailingAt().trainer(tmp_path / "b", "SOLVER.BASE_LR", 1e30).train()
    assert "results.json" in caplog.text and "nonfinite_" in caplog.text


def test_a_trace_of_the_profiler(tmp_path, caplog):
    (tmp_path / "file").touch()
    trainer = tiny_trainer()
    profiler = hooks.TorchProfiler(lambda t: t.iter == 1, str(tmp_path / "file"), activities=[])
    trainer.register_hooks([profiler])
    trainer.train(0, 3)
    assert "a trace of the profiler failed" in caplog.text


def test_files_of_json_are_json(tmp_path):
    class Odd(MeanOutput):
        def evaluate(self):
            return {"AP": float("nan"), "loss": float("inf"), "n": torch.tensor(3), "note": "x", "none": None}

    class Trainer(TinyTrainer):
        @classmethod
        def build_evaluator(cls, cfg, dataset_name):
            return Odd()

    def strict(path):
        def refuse(word):
            raise AssertionError(word)

        return json.loads(path.read_text(), parse_constant=refuse)

    cfg = tiny_cfg(tmp_path, "DATASETS.TEST", "('tiny',)", "SOLVER.BASE_LR", 0.01)
    Trainer(cfg).train()
    results = strict(tmp_path / "results.json")["results"]["tiny"]
    assert results == {"AP": None, "loss": None, "n": 3, "note": "x", "none": None}
    strict(tmp_path / "manifest.json")
    again = Trainer(cfg)
    again.resume_or_load()
    assert str(again.train()["tiny"]["AP"]) == "nan"


@pytest.mark.parametrize(
    "row",
    [["tiny", "mean", 1.0], ["tiny", "mean", "1.0", 0.1], ["tiny", "mean", 1.0, -0.1], "tiny", [1, "mean", 1.0, 1]],
)
def test_a_wrong_row_of_expected_results_fails_before_the_run(tmp_path, row):
    cfg = tiny_cfg(tmp_path / "run", "DATASETS.TEST", "('tiny',)")
    cfg.TEST.EXPECTED_RESULTS = [row]
    with pytest.raises(ValueError, match=r"a row of TEST\.EXPECTED_RESULTS"):
        TinyTrainer(cfg)


@pytest.mark.parametrize(
    "metric, sets, message",
    [
        ("validation/total_loss", "()", "DATASETS.VAL is empty"),
        ("tiny/mean", "()", "DATASETS.TEST is empty"),
        ("tniy/mean", "('tiny', 'other')", "did you mean 'tiny'"),
        ("lr", "('tiny',)", "nothing of how good"),
    ],
)
def test_metrics_that_cannot_exist_are_refused_before_the_run(tmp_path, metric, sets, message):
    for options in (["TEST.BEST", f"[['{metric}', 'max']]"], ["SOLVER.EARLY_STOPPING.METRIC", metric]):
        with pytest.raises(ValueError, match=message):
            TinyTrainer(tiny_cfg(tmp_path, "DATASETS.TEST", sets, *options))
