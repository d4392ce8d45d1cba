import errno
import gc
import inspect
import logging
import weakref

import pytest
import torch

from steploop.engine import AMPTrainer, HookBase, SimpleTrainer, TrainerBase, hooks
from steploop.engine.simple_trainer import clear_gradients
from steploop.engine.train_loop import HOOK_POINTS
from tiny import TinyLoader, TinyModel, tiny_trainer


class Recorder(HookBase):
    def __init__(self, calls):
        self.calls = calls

    def __getattribute__(self, name):
        if name in HOOK_POINTS:
            # A bound method, as a hook's is, that writes down its call.
            return lambda: object.__getattribute__(self, "calls").append((name, self.trainer.iter))
        return object.__getattribute__(self, name)


def test_the_order_of_calls_is_the_one_that_the_docstring_of_hookbase_shows():
    calls = []
    trainer = tiny_trainer()
    trainer.register_hooks([Recorder(calls)])
    step = trainer.optimizer.step
    trainer.optimizer.step = lambda: (calls.append(("optimizer.step()", trainer.iter)), step())
    trainer.train(0, 2)
    one_step = ["before_step", "after_backward", "optimizer.step()", "after_step"]
    expected = ["before_train", *one_step, *one_step, "after_train"]
    assert [name for name, _ in calls] == expected
    assert calls[-1] == ("after_train", 2)
    lines = inspect.getdoc(HookBase).split("::")[1].splitlines()
    shown = [name for line in lines for name in [*HOOK_POINTS, "optimizer.step()"] if name in line.split("only")[0]]
    assert shown[:6] == ["before_train", *one_step, "after_train"]


def test_hooks_hold_the_trainer_weakly():
    hook = HookBase()
    trainer = tiny_trainer()
    trainer.register_hooks([None, hook])
    reference = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert reference() is None
    with pytest.raises(ReferenceError):
        hook.trainer.iter  # noqa: B018


def test_what_is_no_hook_is_refused():
    with pytest.raises(TypeError, match="subclass of HookBase; got str"):
        tiny_trainer().register_hooks(["hook"])


def test_hooks_are_called_only_where_they_override():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.IterationTimer()])
    assert not trainer._calls.after_backward
    assert len(trainer._calls.after_step) == 1


def test_hooks_of_a_later_stage_act_after_the_others_whenever_they_were_registered():
    calls = []

    def hook(name, stage):
        hook = hooks.CallbackHook(after_step=lambda trainer: calls.append(name))
        hook.stage = stage
        return hook

    trainer = tiny_trainer()
    trainer.register_hooks([hook("saves", 2), hook("first", 0), hook("writes", 1)])
    trainer.register_hooks([hook("second", 0)])
    trainer.train(0, 1)
    assert calls == ["first", "second", "writes", "saves"]
    assert hooks.EvalHook.stage < hooks.PeriodicWriter.stage < hooks.PeriodicCheckpointer.stage


def test_iter_equals_max_iter_after_a_success_only():
    trainer = tiny_trainer()
    trainer.train(0, 5)
    assert (trainer.iter, trainer.completed_iter) == (5, 4)

    def fail(trainer):
        if trainer.iter == 4:
            raise RuntimeError("broken")

    trainer.register_hooks([hooks.CallbackHook(before_step=fail)])
    with pytest.raises(RuntimeError, match="broken"):
        trainer.train(0, 5)
    assert (trainer.iter, trainer.completed_iter) == (4, 3)


def test_resuming_a_finished_run_ends_where_it_is():
    trainer = tiny_trainer()
    trainer.train(5, 5)
    assert (trainer.iter, trainer.completed_iter) == (5, 4)


def test_a_trainer_trains_twice():
    calls = []
    trainer = tiny_trainer()
    trainer.register_hooks(
        [hooks.EvalHook(0, lambda: calls.append("eval")), hooks.CallbackHook(after_train=lambda t: calls.append("end"))]
    )
    trainer.train(0, 2)
    trainer.train(0, 2)
    assert calls == ["eval", "end"] * 2


def test_one_failing_after_train_does_not_stop_the_next():
    calls = []

    def fail(trainer):
        raise KeyError("first")

    trainer = tiny_trainer()
    trainer.register_hooks(
        [hooks.CallbackHook(after_train=fail), hooks.CallbackHook(after_train=lambda t: calls.append(1))]
    )
    with pytest.raises(KeyError, match="first"):
        trainer.train(0, 1)
    assert calls == [1]


def test_the_error_that_ended_the_run_is_the_one_that_is_raised():
    def fail(trainer):
        raise KeyError("in after_train")

    def interrupt(trainer):
        raise KeyboardInterrupt

    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_train=fail, after_step=interrupt)])
    with pytest.raises(KeyboardInterrupt):
        trainer.train(0, 1)


def test_a_hook_can_stop_the_run_after_the_step_in_flight():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 3 and t.request_stop("enough"))])
    trainer.train(0, 10)
    assert (trainer.iter, trainer.completed_iter, trainer.stop_reason) == (3, 3, "enough")
    trainer.train(4, 6)
    assert (trainer.iter, trainer.stop_reason) == (6, None)


def test_a_stop_at_the_last_step_is_a_finished_run():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: t.iter == 4 and t.request_stop("late"))])
    trainer.train(0, 5)
    assert (trainer.iter, trainer.stop_reason) == (5, None)


def test_a_stop_after_the_last_step_changes_nothing():
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_train=lambda t: t.request_stop("late", requeue=True))])
    trainer.train(0, 5)
    assert (trainer.iter, trainer.stop_reason) == (5, None)


def test_a_stop_after_a_failure_does_not_make_it_a_stopped_run():
    def fail(trainer):
        raise KeyError

    trainer = tiny_trainer()
    trainer.register_hooks(
        [hooks.CallbackHook(after_step=fail, after_train=lambda t: t.request_stop("late", requeue=True))]
    )
    with pytest.raises(KeyError):
        trainer.train(0, 5)
    assert trainer.stop_reason is None, "else its state would be saved"


def test_run_step_is_abstract():
    with pytest.raises(NotImplementedError, match="must implement run_step"):
        TrainerBase().train(0, 1)


# -- state --------------------------------------------------------------------------------------------------


class Counter(HookBase):
    def __init__(self, count=0, name=None):
        self.count = count
        self.name = name

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


def test_the_iteration_of_the_last_completed_step_is_restored():
    trainer = tiny_trainer()
    states = []
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: states.append(t.state_dict()["iteration"]))])
    trainer.train(0, 12)
    other = tiny_trainer()
    other.load_state_dict(trainer.state_dict())
    assert states == list(range(12))
    assert other.iter == 11


def test_two_hooks_of_one_class_keep_both_states():
    trainer = tiny_trainer()
    trainer.register_hooks([Counter(1), Counter(2)])
    other = tiny_trainer()
    others = [Counter(), Counter()]
    other.register_hooks(others)
    other.load_state_dict(trainer.state_dict())
    assert [hook.count for hook in others] == [1, 2]


def test_equal_names_are_an_error():
    with pytest.raises(ValueError, match="two hooks are named 'x'"):
        tiny_trainer().register_hooks([Counter(name="x"), Counter(name="x")])


def test_a_state_that_could_not_be_loaded_is_refused_at_registration():
    class SavesOnly(HookBase):
        def state_dict(self):
            return {"a": 1}

    with pytest.raises(TypeError, match="no load_state_dict"):
        tiny_trainer().register_hooks([SavesOnly()])


def test_missing_and_left_over_states_are_reported(caplog):
    trainer = tiny_trainer()
    trainer.register_hooks([Counter(1, name="gone")])
    other = tiny_trainer()
    other.register_hooks([Counter(1, name="new")])
    other.load_state_dict(trainer.state_dict())
    assert "'gone', which is not registered" in caplog.text
    assert "no state of the hook 'new'" in caplog.text


def test_processes_that_lack_the_main_ones_hooks_do_not_report_it(caplog, monkeypatch):
    trainer = tiny_trainer()
    trainer.register_hooks([Counter(1, name="of the main process")])
    monkeypatch.setattr("steploop.engine.distributed.comm.is_main_process", lambda: False)
    tiny_trainer().load_state_dict(trainer.state_dict())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# -- the step -----------------------------------------------------------------------------------------------


def test_the_loader_is_entered_at_the_first_step():
    trainer = tiny_trainer()
    trainer.train(1000, 1003)
    assert trainer.data_loader.drawn == [1000, 1001, 1002]


def full_disk(trainer):
    if trainer.iter == 2:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("point", ["before_step", "after_step"])
def test_a_full_disk_that_a_hook_meets_does_not_end_the_run(point, caplog):
    trainer = tiny_trainer()
    after = []
    other = hooks.CallbackHook(after_step=lambda trainer: after.append(trainer.iter))
    trainer.register_hooks([hooks.CallbackHook(**{point: full_disk}), other])
    trainer.train(0, 4)
    assert trainer.iter == 4 and after == [0, 1, 2, 3]
    assert "a file of CallbackHook could not be written" in caplog.text
    assert "In this run, a file of CallbackHook failed 1 times" in caplog.text


def test_another_error_of_the_system_ends_the_run():
    def missing(trainer):
        raise FileNotFoundError("gone")

    trainer = tiny_trainer()
    trainer.register_hooks([hooks.CallbackHook(after_step=missing)])
    with pytest.raises(FileNotFoundError, match="gone"):
        trainer.train(0, 4)


def test_a_loader_with_seek_is_entered_again_by_a_second_training():
    trainer = tiny_trainer()
    trainer.train(5, 8)
    trainer.train(5, 7)
    assert trainer.data_loader.drawn == [5, 6, 7, 5, 6]


def test_a_loader_that_ends_says_what_is_needed():
    model = TinyModel()
    trainer = SimpleTrainer(model, [torch.ones(4, 3)], torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="ended at iteration 1 of 3"):
        trainer.train(0, 3)


def test_reset_data_loader():
    trainer = tiny_trainer()
    trainer.train(0, 2)
    trainer.reset_data_loader(TinyLoader)
    trainer.train(2, 4)
    assert trainer.data_loader.drawn == [2, 3]


def test_losses_are_summed_and_metrics_are_not():
    trainer = tiny_trainer(model=TinyModel(losses=("loss_a", "loss_b"), metrics=("accuracy",)))
    seen = {}
    trainer.register_hooks([hooks.CallbackHook(after_step=lambda t: seen.update(t.storage.latest()))])
    trainer.train(0, 1)
    value = {name: pair[0] for name, pair in seen.items()}
    assert value["total_loss"] == pytest.approx(value["loss_a"] + value["loss_b"])
    assert value["accuracy"] == pytest.approx(value["loss_a"] * 10)


def test_one_loss_is_recorded_as_total_loss_only():
    trainer = tiny_trainer()
    trainer.train(0, 1)
    assert set(trainer.storage.latest()) == {"data_time", "total_loss"}


@pytest.mark.parametrize("outputs, error", [(None, TypeError), ({}, ValueError), ((1, 2), TypeError)])
def test_a_model_that_returns_no_loss_is_told_so(outputs, error):
    trainer = tiny_trainer()
    trainer.model.forward = lambda batch: outputs
    with pytest.raises(error, match="loss"):
        trainer.train(0, 1)


def test_a_prefix_goes_to_every_loss():
    trainer = tiny_trainer()
    names = set()

    def write(trainer):
        losses = {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}
        SimpleTrainer.write_metrics(losses, 0.1, trainer.iter, prefix="d_")
        names.update(trainer.storage.latest())

    trainer.register_hooks([hooks.CallbackHook(after_step=write)])
    trainer.train(0, 1)
    assert {"d_total_loss", "d_a", "d_b"} <= names


def test_eval_mode_in_a_step_is_an_error():
    trainer = tiny_trainer()
    trainer.model.eval()
    with pytest.raises(RuntimeError, match="eval mode"):
        trainer.train(0, 1)


@pytest.mark.parametrize("period", [1, 4, 0])
def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_first_one(period):
    trainer = tiny_trainer(gather_metric_period=period, model=TinyModel(losses=("loss_a", "loss_b")))

    def poison(trainer):
        if trainer.iter == 5:
            trainer.model.layer.weight.data.fill_(float("nan"))

    trainer.register_hooks([hooks.CallbackHook(before_step=poison)])
    with pytest.raises(FloatingPointError, match=r"iteration=5: \{.*'loss_a': nan, 'loss_b': nan"):
        trainer.train(0, 10)
    assert trainer.iter == {1: 5, 4: 7, 0: 9}[period]


def test_accumulation_equals_the_whole_batch():
    def train(accumulate):
        torch.manual_seed(0)
        model = TinyModel()
        batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(i)) for i in range(20)]
        pieces = [piece for batch in batches for piece in batch.chunk(accumulate)]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        trainer = SimpleTrainer(model, iter(pieces), optimizer, accumulate=accumulate)
        calls = []
        trainer.register_hooks([hooks.CallbackHook(after_backward=lambda t: calls.append(t.iter))])
        trainer.train(0, 20)
        assert calls == list(range(20))
        return model.layer.weight.detach(), trainer.storage.history("total_loss").values()

    (whole, losses), (parts, part_losses) = train(1), train(4)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.tensor(part_losses), torch.tensor(losses))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_the_same_step(precision):
    model = TinyModel()
    seen = []
    model.layer.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trainer = AMPTrainer(model, TinyLoader(), optimizer, precision=precision, log_grad_scaler=True)
    norms = []
    trainer.register_hooks([hooks.CallbackHook(after_backward=lambda t: norms.append(model.layer.weight.grad.norm()))])
    trainer.train(0, 3)
    assert seen == [precision] * 3
    # The first scale of float16 overflows, and that step is skipped.
    assert max(norms[1:]) < 100, "gradients must be unscaled before after_backward"
    assert ("grad_scaler" in trainer.state_dict()) == (precision is torch.float16)
    assert "[metric]grad_scaler" in trainer.storage.latest()


def test_a_seed_makes_random_numbers_a_function_of_the_step():
    def draws(start):
        trainer = tiny_trainer()
        trainer.seed = 7
        drawn = {}
        trainer.register_hooks([hooks.CallbackHook(before_step=lambda t: drawn.update({t.iter: torch.rand(1).item()}))])
        trainer.train(start, 6)
        return drawn

    whole, part = draws(0), draws(3)
    assert part == {step: whole[step] for step in (3, 4, 5)}
    assert len(set(whole.values())) == 6


def test_resuming_gives_the_same_weights_bit_for_bit():
    whole = tiny_trainer()
    whole.train(0, 30)
    first = tiny_trainer()
    first.train(0, 13)
    weights, state = first.model.state_dict(), first.state_dict()
    second = tiny_trainer()
    second.model.load_state_dict(weights)
    second.load_state_dict(state)
    second.train(second.iter + 1, 30)
    assert torch.equal(second.model.layer.weight, whole.model.layer.weight)
    assert second.storage.history("total_loss").values() == whole.storage.history("total_loss").values()


def test_clearing_gradients_leaves_an_optimizer_its_own_way():
    weight = torch.nn.Parameter(torch.ones(2))
    asked = []

    class Counts(torch.optim.SGD):
        def zero_grad(self, set_to_none=True):
            asked.append(set_to_none)

    weight.grad = torch.ones(2)
    clear_gradients(Counts([weight], lr=0.1))
    assert asked == [True] and weight.grad is not None
    patched = torch.optim.SGD([weight], lr=0.1)
    patched.zero_grad = lambda: asked.append("patched")
    clear_gradients(patched)
    assert asked[-1] == "patched" and weight.grad is not None
    clear_gradients(torch.optim.SGD([weight], lr=0.1))
    assert weight.grad is None
