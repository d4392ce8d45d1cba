import json
import logging
from datetime import timedelta

import pytest
import torch

import hook_ranks
from exact_runs import EVALUATED, differences, train
from steploop.engine import EarlyStopping, hooks, launch
from steploop.engine.checkpoint import read_checkpoint
from tiny import tiny_trainer
from tiny_project import MeanOutput, TinyTrainer, tiny_cfg

NAN = float("nan")


def stopped_at(values, **kwargs):
    """Train with an evaluation at every second step that returns `values` in turn; return the completed step."""
    trainer, results = tiny_trainer(), iter(values)
    stopping = EarlyStopping(2, "set/mAP", **kwargs)
    trainer.register_hooks([hooks.EvalHook(2, lambda: {"set/mAP": next(results)}), stopping])
    trainer.train(0, 2 * len(values))
    assert stopping.is_over() == (trainer.stop_reason is not None)
    return trainer.completed_iter


@pytest.mark.parametrize(
    "values, kwargs, step",
    [
        ([1, 2, 3, 4], {"patience": 1}, 7),
        ([1, 1, 2, 3], {"patience": 1}, 3),  # the same is no improvement
        ([1, 1, 2, 2, 2, 3], {"patience": 2}, 9),
        ([3, 2, 1, 1, 0], {"patience": 1, "mode": "min"}, 7),
        ([1, 1.5, 2.5, 2.9, 5], {"patience": 2, "min_delta": 1.0}, 9),
        ([1, 1.5, 1.9, 5, 6], {"patience": 2, "min_delta": 1.0}, 5),
        ([5, 4.5, 4.1, 0, 0], {"patience": 2, "min_delta": 1.0, "mode": "min"}, 5),
        ([NAN, NAN, 1, 2], {"patience": 2}, 3),
        ([1, NAN, 2, 3], {"patience": 2}, 7),
    ],
)
def test_when_it_stops(values, kwargs, step):
    assert stopped_at(values, **kwargs) == step


@pytest.mark.parametrize("kwargs", [{"patience": 0}, {"min_delta": -1.0}, {"min_delta": NAN}, {"mode": "best"}])
def test_arguments_out_of_range(kwargs):
    with pytest.raises(ValueError, match="early stopping|mode"):
        EarlyStopping(1, "a", **kwargs)


def test_a_metric_that_is_missing_is_told_and_does_not_count(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([EarlyStopping(2, "typo", patience=1)])
    trainer.train(0, 6)
    assert trainer.iter == 6
    assert "EarlyStopping: unknown metric 'typo'. Known: data_time, total_loss" in caplog.text


def test_a_second_training_starts_anew():
    trainer, results = tiny_trainer(), iter([3.0, 3.0, 1.0, 2.0])
    stopping = EarlyStopping(1, "a", patience=1)
    trainer.register_hooks([hooks.EvalHook(1, lambda: {"a": next(results)}, eval_after_train=False), stopping])
    trainer.train(0, 4)
    assert trainer.completed_iter == 1
    trainer.train(0, 2)
    assert trainer.completed_iter == 1 and trainer.iter == 2 and stopping.best_metric == 1.0


def test_a_run_that_is_over_does_not_go_on_in_a_bare_trainer():
    trainer = tiny_trainer()
    stopping = EarlyStopping(2, "a", patience=2)
    stopping.load_state_dict({"best_metric": 1.0, "best_iter": 3, "num_bad": 2})
    trainer.register_hooks([stopping])
    trainer.train(8, 20)
    assert trainer.completed_iter == 8
    assert trainer.stop_reason == "a has not improved on 1 in 2 evaluations (patience 2)"


class Worse(MeanOutput):
    """Measures less each time."""

    def evaluate(self):
        type(self).value -= 1.0
        return {"mean": type(self).value}


class WorseTrainer(TinyTrainer):
    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return Worse()


STOPPING = ("DATASETS.TEST", "('tiny',)", "TEST.EVAL_PERIOD", 3, "SOLVER.EARLY_STOPPING.METRIC", "tiny/mean")
STOPPING = (*STOPPING, "SOLVER.EARLY_STOPPING.PATIENCE", 1, "LOG_PERIOD", 4, "SOLVER.CHECKPOINT_PERIOD", 4)


def run(folder, *overrides):
    cfg = tiny_cfg(folder, *STOPPING, *overrides)
    cfg.freeze()
    trainer = WorseTrainer(cfg)
    trainer.resume_or_load()
    return trainer, trainer.train()


def iterations(folder):
    return [json.loads(line)["iteration"] for line in (folder / "metrics.json").read_text().splitlines()]


def test_a_run_that_stopped_early_is_done(tmp_path, caplog):
    Worse.value = 10.0
    trainer, results = run(tmp_path)
    assert (trainer.iter, trainer.must_requeue) == (5, False)
    assert results == {"tiny": {"mean": 8.0}} == json.loads((tmp_path / "results.json").read_text())["results"]
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000005.pth"
    assert not (tmp_path / "model_final.pth").exists()
    assert iterations(tmp_path) == [2, 3, 5]  # the evaluation at 2, a line each 4 steps, and the last of all

    before = (tmp_path / "metrics.json").read_bytes()
    with caplog.at_level(logging.INFO):
        again, results = run(tmp_path)  # --resume
    assert "This run ended early, at iteration 5" in caplog.text
    assert results == {"tiny": {"mean": 8.0}} and Worse.value == 8.0  # nothing was trained or evaluated
    assert (tmp_path / "metrics.json").read_bytes() == before

    longer, _ = run(tmp_path, "SOLVER.EARLY_STOPPING.PATIENCE", 2)
    assert (longer.start_iter, longer.iter) == (6, 8)
    longest, _ = run(tmp_path, "SOLVER.EARLY_STOPPING.METRIC", "")
    assert (longest.start_iter, longest.iter) == (9, 10)


def test_results_that_a_killed_run_did_not_leave_are_measured(tmp_path):
    Worse.value = 10.0
    run(tmp_path)
    (tmp_path / "results.json").unlink()
    _, results = run(tmp_path)
    assert results == {"tiny": {"mean": 7.0}} == json.loads((tmp_path / "results.json").read_text())["results"]


def test_a_final_evaluation_where_another_hook_measured_the_metric(tmp_path):
    Worse.value = 10.0
    settings = ("DATASETS.VAL", "('tiny',)", "TEST.LOSS_PERIOD", 1, "TEST.EVAL_PERIOD", 0)
    stopping = ("SOLVER.EARLY_STOPPING.METRIC", "validation/total_loss")  # it falls, and the highest is asked for
    trainer, results = run(tmp_path, *settings, *stopping)
    assert trainer.iter == 1
    assert results == {"tiny": {"mean": 9.0}}


def test_it_says_so_where_it_cannot_act(tmp_path, caplog):
    WorseTrainer(tiny_cfg(tmp_path, *STOPPING, "TEST.EVAL_PERIOD", 0))
    assert "SOLVER.EARLY_STOPPING cannot act: tiny/mean is measured at the end only" in caplog.text


EXACT = (*EVALUATED, "TEST.EVAL_PERIOD", 2, "SOLVER.EARLY_STOPPING.METRIC", "tiny/mean", "LOG_PERIOD", 5)
EXACT = (*EXACT, "SOLVER.EARLY_STOPPING.MODE", "min", "SOLVER.EARLY_STOPPING.MIN_DELTA", 10.0)


@pytest.mark.parametrize("patience, stop", [(2, 5), (3, 7)])  # at a periodic checkpoint, and not
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, patience, stop):
    settings = (*EXACT, "SOLVER.EARLY_STOPPING.PATIENCE", patience)
    whole = train(tmp_path / "whole", *settings)
    assert whole.completed_iter == stop
    for kill in (("before_step", 4), ("after_step", stop), ("saved", stop)):
        train(tmp_path / "run", *settings, kill=kill)
    train(tmp_path / "run", *settings)
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    checkpoint = read_checkpoint(tmp_path / "run" / f"model_{stop:07d}.pth")
    assert checkpoint["trainer"]["hooks"]["EarlyStopping"]["num_bad"] == patience


def test_two_processes(tmp_path):
    """What one process measures, freezes and decides, two do at the same step."""
    for number in (1, 2):
        launch(hook_ranks.train, number, device="cpu", args=(str(tmp_path),), timeout=timedelta(minutes=1))
    one, first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("0of1", "0of2", "1of2"))
    assert (
        one["stopped"]
        == first["stopped"]
        == second["stopped"]
        == [3, "set/mAP has not improved on 3 in 2 evaluations (patience 2)"]
    )
    assert first["resumed"] == second["resumed"] == [4, 3]
    assert one["validation"] == first["validation"] == second["validation"]
    assert first["frozen"] == second["frozen"] == one["frozen"] == [True, True, True, False, False, False]
    weights = [torch.load(tmp_path / f"weights{number}.pt") for number in (1, 2)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in weights[0])
