import math
from unittest import mock

import numpy as np
import pytest
import torch

from steploop.engine import Checkpointer, hooks
from tiny import tiny_trainer


def evaluations(max_iter, period, **kwargs):
    steps = []
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(period, lambda: steps.append(trainer.iter), **kwargs)])
    trainer.train(0, max_iter)
    return steps


@pytest.mark.parametrize("max_iter, period, steps", [(30, 15, [14, 30]), (31, 15, [14, 29, 31]), (20, 0, [20])])
def test_when_it_evaluates(max_iter, period, steps):
    assert evaluations(max_iter, period) == steps


def test_without_the_final_evaluation_the_last_step_counts_like_any_other():
    assert evaluations(30, 15, eval_after_train=False) == [14, 29]


def test_before_the_first_step_of_a_new_run():
    assert evaluations(10, 0, eval_before_train=True) == [0, 10]
    trainer = tiny_trainer()
    calls = []
    trainer.register_hooks([hooks.EvalHook(0, lambda: calls.append(trainer.iter), eval_before_train=True)])
    trainer.train(5, 10)
    assert calls == [10]


def test_no_evaluation_after_a_crash_in_the_last_step():
    calls = []

    def fail(trainer):
        if trainer.iter == 9:
            raise RuntimeError

    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_step=fail), hooks.EvalHook(0, lambda: calls.append(1))])
    with pytest.raises(RuntimeError):
        trainer.train(0, 10)
    assert not calls


def test_no_evaluation_after_a_stop():
    calls = []
    trainer = tiny_trainer()
    trainer.register_hooks(
        [
            hooks.CallbackHook(after_step=lambda t: t.request_stop("enough")),
            hooks.EvalHook(0, lambda: calls.append(1)),
        ]
    )
    trainer.train(0, 10)
    assert not calls


def test_results_are_flattened_and_not_smoothed():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: {"set": {"mAP": 50, "Rank-1": "61.5"}})])
    trainer.train(0, 3)
    assert trainer.storage.latest()["set/mAP"] == (50.0, 3)
    assert trainer.storage.latest()["set/Rank-1"] == (61.5, 3)
    assert trainer.storage.smoothing_hints()["set/mAP"] is False


def test_what_is_no_number_is_named_and_the_other_figures_are_kept(caplog):
    odd = {"text": "79.1,80.2", "none": None, "list": [0.1], "array": np.array([0.1, 0.2]), "tensor": torch.ones(2)}
    numbers = {"AP": 0.5, "numpy": np.float32(0.5), "0-d": torch.tensor(0.5), "bool": True}
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: {"set": {**odd, "inner": numbers}})])
    trainer.train(0, 3)
    recorded = {name: value for name, (value, _) in trainer.storage.latest().items() if name.startswith("set/")}
    assert recorded == {f"set/inner/{name}": float(value) for name, value in numbers.items()}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [any(f"'set/{name}'" in text for text in warnings) for name in odd] == [True] * len(odd)


def test_an_evaluation_that_returns_no_dict():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: [1])])
    with pytest.raises(TypeError, match="an evaluation returns a dict"):
        trainer.train(0, 1)


@pytest.mark.parametrize(
    "mode, values, saved", [("max", [0.3, 0.4, 0.35, 0.5], 3), ("min", [1.0, 0.8, 0.9, 0.9], 2),
                            ("min", [math.nan, 0.8, 0.9, 0.9], 1)]
)  # fmt: skip
def test_evaluations_and_the_best_as_users_of_detectron2_expect(tmp_path, mode, values, saved):
    """How often a checkpoint with the best metric is saved, where the hooks are registered by hand."""
    metrics = iter(values)
    trainer = tiny_trainer()
    checkpointer = Checkpointer(trainer.model, str(tmp_path), trainer=trainer)
    trainer.register_hooks(
        [
            hooks.EvalHook(10, lambda: {"metric": next(metrics)}, eval_after_train=False),
            hooks.BestCheckpointer(10, checkpointer, "metric", mode=mode),
        ]
    )
    with mock.patch.object(checkpointer, "save") as save:
        trainer.train(0, 40)
    assert save.call_count == saved


@pytest.mark.parametrize("max_iter, period, calls", [(30, 15, 2), (31, 15, 3), (20, 0, 1)])
def test_the_number_of_evaluations_as_users_of_detectron2_expect(max_iter, period, calls):
    evaluate = mock.Mock(return_value={})
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(period, evaluate)])
    trainer.train(0, max_iter)
    assert evaluate.call_count == calls
