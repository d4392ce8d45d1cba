import pytest

from steploop.engine import BestCheckpointer, Checkpointer, JSONWriter, PeriodicCheckpointer, PeriodicWriter, hooks
from steploop.engine.checkpoint import read_checkpoint
from tiny import tiny_trainer


class RecordingCheckpointer:
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
    assert "no metric 'typo'; recorded so far: data_time, total_loss" in caplog.text


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
    assert states["BestCheckpointer"] == {"best_metric": 1.0, "best_iter": 2}
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
