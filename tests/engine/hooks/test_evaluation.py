import pytest

from steploop.engine import hooks
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


@pytest.mark.parametrize("result, error", [({"a": "high"}, ValueError), ([1], TypeError)])
def test_a_result_that_is_no_number_is_named(result, error):
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.EvalHook(0, lambda: result)])
    with pytest.raises(error, match="an evaluation returns"):
        trainer.train(0, 1)
