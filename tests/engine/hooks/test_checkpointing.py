import pytest
import torch

from exact_runs import EVALUATED, STEPS, differences, train
from steploop.engine import BestCheckpointer, Checkpointer, JSONWriter, PeriodicCheckpointer, PeriodicWriter, hooks
from steploop.engine.checkpoint import read_checkpoint
from tiny import tiny_trainer
from tiny_project import MeanOutput, TinyTrainer, tiny_cfg


class RecordingCheckpointer:
    save_dir = ""

    def __init__(self):
        self.saved = []

    def save(self, name, **kwargs):
        self.saved.append((name, kwargs))


def best_of(values, mode="max", period=2, max_iter=None):
    """Train with an evaluation that returns `values` in turn; return the hook and what was saved."""
    trainer = tiny_trainer()
    checkpointer = RecordingCheckpointer()
    results = iter(values)
    best = BestCheckpointer(period, checkpointer, "set/mAP", mode)
    trainer.register_hooks([hooks.EvalHook(period, lambda: {"set/mAP": next(results)}), best])
    trainer.train(0, max_iter or period * len(values))
    return best, checkpointer.saved


@pytest.mark.parametrize(
    "values, mode, iterations", [([1, 3, 2, 4], "max", [1, 3, 7]), ([3, 1, 2, 1], "min", [1, 3]), ([1, 1], "max", [1])]
)
def test_the_best_is_saved_when_it_is_strictly_better(values, mode, iterations):
    best, saved = best_of(values, mode)
    assert [kwargs["iteration"] for _, kwargs in saved] == iterations
    assert {name for name, _ in saved} == {"model_best"}
    assert best.best_metric == (max if mode == "max" else min)(values)


def test_a_metric_that_is_nan_is_never_the_best():
    best, saved = best_of([float("nan"), 1.0])
    assert best.best_metric == 1.0 and len(saved) == 1


def test_the_best_is_kept_over_a_resume():
    best, _ = best_of([9.0])
    trainer = tiny_trainer()
    checkpointer = RecordingCheckpointer()
    resumed = BestCheckpointer(2, checkpointer, "set/mAP")
    resumed.load_state_dict(best.state_dict())
    trainer.register_hooks([hooks.EvalHook(2, lambda: {"set/mAP": 1.0}), resumed])
    trainer.train(2, 6)
    assert not checkpointer.saved
    assert resumed.best_metric == 9.0


def test_an_unknown_metric_is_a_warning_that_lists_the_known(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([BestCheckpointer(0, RecordingCheckpointer(), "typo")])
    trainer.train(0, 2)
    assert "unknown metric 'typo'. Known: data_time, total_loss" in caplog.text


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match='"max" or "min"'):
        BestCheckpointer(1, RecordingCheckpointer(), "a", mode="best")


def saving_trainer(folder, period=3, **kwargs):
    trainer = tiny_trainer()
    checkpointer = Checkpointer(trainer.model, folder, trainer=trainer)
    trainer.register_hooks([PeriodicCheckpointer(checkpointer, period, **kwargs)])
    return trainer, checkpointer


def names(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def test_periodic_and_final_files(tmp_path):
    saving_trainer(tmp_path)[0].train(0, 9)
    assert names(tmp_path) == ["model_0000002.pth", "model_0000005.pth", "model_final.pth"]
    assert read_checkpoint(tmp_path / "model_final.pth")["iteration"] == 8
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


def test_period_zero_saves_at_the_end_only(tmp_path):
    saving_trainer(tmp_path, period=0)[0].train(0, 4)
    assert names(tmp_path) == ["model_final.pth"]


def test_a_stopped_run_is_saved_where_it_stands_and_goes_on_from_there(tmp_path):
    trainer, _ = saving_trainer(tmp_path)
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 3 and t.request_stop("enough"))])
    trainer.train(0, 9)
    assert names(tmp_path) == ["model_0000002.pth", "model_0000003.pth"]
    again, checkpointer = saving_trainer(tmp_path)
    checkpointer.resume_or_load("")
    assert again.iter == 3


def test_save_points_are_never_deleted(tmp_path):
    trainer = TinyTrainer(
        tiny_cfg(
            tmp_path,
            *("SOLVER.MAX_ITER", 9, "SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.CHECKPOINT_MAX_TO_KEEP", 1),
            *("SOLVER.SAVE_POINTS", "(3, 4)", "LOG_PERIOD", 20),
        )
    )
    read_at = []
    trainer.register_hooks(
        [hooks.CallbackHook(after_step=lambda trainer: read_at.append(trainer._reader.next_reading))]
    )
    trainer.train()
    kept = ["model_kept_0000002.pth", "model_kept_0000003.pth"]
    assert [name for name in names(tmp_path) if "_kept_" in name] == kept
    assert "model_0000003.pth" not in names(tmp_path)
    assert len([name for name in names(tmp_path) if name.startswith("model_000")]) == 1
    assert read_checkpoint(tmp_path / kept[0])["iteration"] == 2
    assert read_at[1:3] == [2, 3]  # a loss that is not finite is found before a save


def test_a_run_goes_on_from_a_save_point(tmp_path):
    overrides = ("SOLVER.MAX_ITER", 9, "SOLVER.CHECKPOINT_PERIOD", 0, "SOLVER.SAVE_POINTS", "(3,)")
    trainer = TinyTrainer(tiny_cfg(tmp_path, *overrides))

    def fail(trainer):
        if trainer.iter == 5:
            raise RuntimeError

    trainer.register_hooks([hooks.CallbackHook(before_step=fail)])
    with pytest.raises(RuntimeError):
        trainer.train()
    resumed = TinyTrainer(tiny_cfg(tmp_path, *overrides))
    resumed.resume_or_load()
    assert resumed.start_iter == 3


def test_a_save_point_is_a_number_of_steps():
    with pytest.raises(ValueError, match="save points are numbers of steps"):
        PeriodicCheckpointer(RecordingCheckpointerWithCallbacks(), 0, save_points=(0,))


class RecordingCheckpointerWithCallbacks(RecordingCheckpointer):
    def __init__(self):
        super().__init__()
        self.after_durable = []


def test_a_failed_run_saves_nothing_of_its_last_step(tmp_path):
    trainer, _ = saving_trainer(tmp_path)

    def fail(trainer):
        if trainer.iter == 4:
            raise RuntimeError

    trainer.register_hooks([hooks.CallbackHook(before_step=fail)])
    with pytest.raises(RuntimeError):
        trainer.train(0, 9)
    assert names(tmp_path) == ["model_0000002.pth"]


def test_no_checkpoint_holds_weights_from_after_a_loss_that_is_not_finite(tmp_path):
    trainer, _ = saving_trainer(tmp_path)
    trainer.metric_periods = (20, 3)

    def poison(trainer):
        if trainer.iter == 4:
            trainer.model.layer.weight.data.fill_(float("nan"))

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    with pytest.raises(FloatingPointError):
        trainer.train(0, 9)
    assert names(tmp_path) == ["model_0000002.pth"]


def test_a_stop_after_a_loss_that_is_not_finite_saves_nothing(tmp_path):
    trainer, _ = saving_trainer(tmp_path)
    trainer.metric_periods = (20, 3)

    def poison(trainer):
        if trainer.iter == 3:
            trainer.model.layer.weight.data.fill_(float("nan"))
            trainer.request_stop("a signal, long before the metrics are read")

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    with pytest.raises(FloatingPointError, match="iteration=3"):
        trainer.train(0, 9)
    assert names(tmp_path) == ["model_0000002.pth"]


def test_a_checkpoint_holds_what_hooks_registered_after_it_did_at_its_step(tmp_path):
    trainer, checkpointer = saving_trainer(tmp_path)
    best = BestCheckpointer(3, checkpointer, "set/mAP")
    writer = PeriodicWriter([JSONWriter(tmp_path / "metrics.json")], period=3)
    trainer.register_hooks([writer, hooks.EvalHook(3, lambda: {"set/mAP": 1.0}), best])
    trainer.train(0, 4)
    states = read_checkpoint(tmp_path / "model_0000002.pth")["trainer"]["hooks"]
    assert states["BestCheckpointer"] == {"best_metric": 1.0, "best_iter": 2, "val_metric": "set/mAP"}
    assert states["PeriodicWriter"]["JSONWriter#0"]["last_write"] == 2


def test_metrics_are_durable_before_the_checkpoint_is_visible(tmp_path, monkeypatch):
    trainer, checkpointer = saving_trainer(tmp_path, period=4)
    writer = JSONWriter(tmp_path / "metrics.json")
    order = []
    flush = writer.flush
    monkeypatch.setattr(writer, "flush", lambda: (order.append(("flush", names(tmp_path))), flush()))
    trainer.register_hooks([PeriodicWriter([writer], period=2)])
    trainer.train(0, 6)
    assert order[0] == ("flush", [])
    assert order[1] == ("flush", ["model_0000003.pth"])


def evaluated_trainer(folder, values, eval_period=2):
    """Return a trainer that evaluates now and then, with `values` in turn, and keeps the best."""
    results = iter(values)
    trainer, checkpointer = saving_trainer(folder, period=2)
    best = BestCheckpointer(eval_period, checkpointer, "set/mAP")
    trainer.register_hooks([hooks.EvalHook(eval_period, lambda: {"set/mAP": next(results)}), best])
    return trainer, checkpointer, best


def test_the_best_of_a_final_evaluation_is_known_to_a_longer_run(tmp_path):
    trainer, _, best = evaluated_trainer(tmp_path, [1.0, 5.0])
    trainer.train(0, 4)
    assert (best.best_metric, best.best_iter) == (5.0, 4)
    longer, checkpointer, best = evaluated_trainer(tmp_path, [3.0, 4.0])
    checkpointer.resume_or_load("")
    assert best.best_metric == 1.0  # all that was known when the last step was saved
    longer.train(4, 8)
    assert (best.best_metric, best.best_iter) == (5.0, 4)
    assert read_checkpoint(tmp_path / "model_best.pth")["iteration"] == 3


def test_the_best_file_of_a_run_that_was_killed_is_not_taken_for_a_final_one(tmp_path):
    trainer, _, _ = evaluated_trainer(tmp_path, [9.0], eval_period=3)
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 2 and t.request_stop("as if killed"))])
    trainer.train(0, 6)
    (tmp_path / "model_0000002.pth").unlink()
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    again, checkpointer, best = evaluated_trainer(tmp_path, [2.0, 1.0], eval_period=3)
    checkpointer.resume_or_load("")
    again.train(2, 6)
    assert best.best_metric == 2.0


def test_the_best_by_another_metric_starts_anew(caplog):
    best = BestCheckpointer(2, RecordingCheckpointer(), "set/mAP")
    best.load_state_dict({"best_metric": 9.0, "best_iter": 1, "val_metric": "set/Rank-1"})
    assert best.best_metric is None
    assert "model_best.pth is the best by set/Rank-1 so far, from now on by set/mAP" in caplog.text


def test_two_may_not_write_into_one_file():
    trainer, checkpointer = tiny_trainer(), RecordingCheckpointer()
    with pytest.raises(ValueError, match="two hooks are named 'BestCheckpointer'"):
        trainer.register_hooks([BestCheckpointer(2, checkpointer, "a"), BestCheckpointer(2, checkpointer, "b")])


def test_an_unknown_metric_is_told_the_nearest(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks(
        [hooks.EvalHook(2, lambda: {"set/mAP": 1.0}), BestCheckpointer(2, RecordingCheckpointer(), "set/map")]
    )
    trainer.train(0, 2)
    assert "did you mean 'set/mAP'?" in caplog.text


def test_a_metric_that_is_measured_at_the_last_step_is_in_its_checkpoint(tmp_path):
    trainer, checkpointer = saving_trainer(tmp_path, period=0)
    loss = hooks.ValidationLoss(0, trainer.model, [torch.ones(2, 3)])
    trainer.register_hooks([loss, BestCheckpointer(0, checkpointer, "validation/total_loss", "min")])
    trainer.train(0, 3)
    states = read_checkpoint(tmp_path / "model_final.pth")["trainer"]["hooks"]
    assert states["BestCheckpointer"]["best_iter"] == 2


TWO_BEST = (*EVALUATED, "TEST.BEST", "[['tiny/mean', 'max'], ['tiny/half', 'min']]")


class TwoMetrics(MeanOutput):
    def evaluate(self):
        mean = super().evaluate()["mean"]
        return {"mean": mean, "half": mean / 2}


class TwoMetricsTrainer(TinyTrainer):
    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return TwoMetrics()


def test_the_config_keeps_the_best_by_several_metrics(tmp_path):
    TwoMetricsTrainer(tiny_cfg(tmp_path, *TWO_BEST)).train()
    best, least = (read_checkpoint(tmp_path / f"model_best_tiny_{name}.pth") for name in ("mean", "half"))
    assert best["best_metric"] >= 2 * least["best_metric"]
    assert (best["val_metric"], least["val_metric"]) == ("tiny/mean", "tiny/half")
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    states = read_checkpoint(tmp_path / "model_final.pth")["trainer"]["hooks"]
    assert {"BestCheckpointer model_best_tiny_mean", "BestCheckpointer model_best_tiny_half"} <= states.keys()


@pytest.mark.parametrize("rows", ["['tiny/mean', 'max']", "[['tiny/mean']]", "[['tiny/mean', 'highest']]"])
def test_a_row_that_is_no_metric_and_mode_is_an_error(tmp_path, rows):
    with pytest.raises(ValueError, match="TEST.BEST is a list of"):
        TinyTrainer(tiny_cfg(tmp_path, *EVALUATED, "TEST.BEST", rows))


def test_the_best_by_each_metric_is_the_same_after_a_resume(tmp_path):
    rows = ("TEST.BEST", "[['validation/total_loss', 'min'], ['validation/half', 'max']]")
    settings = (*EVALUATED, "DATASETS.VAL", "('tiny',)", "TEST.LOSS_PERIOD", 2, *rows)
    train(tmp_path / "whole", *settings)
    for kill in (("before_step", 5), ("saved", 8), ("after_train", STEPS)):
        train(tmp_path / "run", *settings, kill=kill)
    train(tmp_path / "run", *settings)
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    assert len(list((tmp_path / "run").glob("model_best*.pth"))) == 3
