"""A torch scheduler goes on after a resume as if the run had never stopped."""

import logging

import pytest
from torch.optim import lr_scheduler as S
from torch.optim.swa_utils import SWALR

from steploop.engine import hooks
from steploop.engine.checkpoint import to_plain
from tiny import tiny_trainer

STEPS, STOP = 12, 5
MAKERS = {
    "LambdaLR": lambda o: S.LambdaLR(o, lambda step: 0.9**step),
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: S.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [2, 7, 7], 0.1),
    "ConstantLR": lambda o: S.ConstantLR(o, 0.1, 8),
    "LinearLR": lambda o: S.LinearLR(o, 0.1, total_iters=9),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=3), S.MultiStepLR(o, [4])], [3]),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 10),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 11),
    "ChainedScheduler": lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 7), S.ExponentialLR(o, 0.9)]),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.001, 0.1, 4),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 4),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.1, total_steps=14),
    "SWALR": lambda o: SWALR(o, 0.001, anneal_epochs=8),
}
ABSTRACT_OR_METRIC = {"LRScheduler", "_LRScheduler", "ReduceLROnPlateau"}


class Rates(hooks.CallbackHook):
    def __init__(self):
        super().__init__()
        self.seen = []

    def before_step(self):
        group = self.trainer.optimizer.param_groups[0]
        self.seen.append((group["lr"], group["momentum"]))


def trainer_with(make):
    trainer = tiny_trainer(lr=0.1)
    rates = Rates()
    trainer.register_hooks([hooks.LRScheduler(scheduler=make(trainer.optimizer)), rates])
    return trainer, rates


def schedule_hook(trainer):
    return next(hook for hook in trainer.hooks if isinstance(hook, hooks.LRScheduler))


def test_every_scheduler_of_torch_is_tried():
    classes = {name for name, value in vars(S).items() if isinstance(value, type) and issubclass(value, S.LRScheduler)}
    assert classes - ABSTRACT_OR_METRIC == MAKERS.keys() - {"SWALR"}


@pytest.mark.parametrize("name", MAKERS)
def test_a_resumed_run_has_the_rates_of_a_whole_one(name):
    whole, expected = trainer_with(MAKERS[name])
    whole.train(0, STEPS)
    first, seen = trainer_with(MAKERS[name])
    first.train(0, STOP)
    second, rest = trainer_with(MAKERS[name])
    second.load_state_dict(to_plain(first.state_dict()))
    second.train(second.iter + 1, STEPS)
    assert seen.seen + rest.seen == expected.seen
    assert len(set(expected.seen)) > 1


@pytest.mark.parametrize("name", ["StepLR", "OneCycleLR"])
def test_the_same_steps_again_have_the_same_rates(name):
    trainer, rates = trainer_with(MAKERS[name])
    trainer.train(0, STEPS)
    once = list(rates.seen)
    trainer.train(0, STEPS)
    assert rates.seen == once * 2


def test_a_state_of_0_2_starts_from_its_last_rate(caplog):
    first, _ = trainer_with(MAKERS["StepLR"])
    first.train(0, 4)
    state = first.state_dict()
    del state["hooks"]["LRScheduler"]["param_groups"]
    state["optimizer"]["param_groups"][0]["lr"] = 0.1  # as the trainer that knew a config had it
    second, rates = trainer_with(MAKERS["StepLR"])
    second.optimizer.load_state_dict(state["optimizer"])
    with caplog.at_level(logging.INFO):
        schedule_hook(second).load_state_dict(state["hooks"]["LRScheduler"])
    assert second.optimizer.param_groups[0]["lr"] == 0.05
    assert "StepLR is restored: the learning rate is 0.05" in caplog.text


def test_another_number_of_groups_is_refused():
    trainer, _ = trainer_with(MAKERS["StepLR"])
    state = schedule_hook(trainer).state_dict()
    state["param_groups"] *= 2
    with pytest.raises(ValueError, match="2 parameter groups, the optimizer has 1"):
        schedule_hook(trainer).load_state_dict(state)


def test_a_scheduler_that_needs_a_metric_is_refused_before_the_first_step():
    trainer, _ = trainer_with(S.ReduceLROnPlateau)
    with pytest.raises(TypeError, match=r"ReduceLROnPlateau.step needs metrics.*hook of your own"):
        trainer.train(0, 2)
    assert trainer.completed_iter == -1


def test_milestones_are_counted_again():
    trainer, _ = trainer_with(MAKERS["MultiStepLR"])
    state = to_plain(trainer.state_dict())
    assert type(state["hooks"]["LRScheduler"]["milestones"]) is dict
    hook = schedule_hook(trainer)
    hook.load_state_dict(state["hooks"]["LRScheduler"])
    assert sorted(hook.scheduler.milestones.elements()) == [2, 7, 7]
