import math

import pytest
import torch
from fvcore.common.param_scheduler import (
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
    StepWithFixedGammaParamScheduler,
)
from torch.optim.lr_scheduler import LRScheduler

from steploop.engine.solver import LRMultiplier, WarmupParamScheduler


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], lr=1.0)


def rates(scheduler: LRMultiplier, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.step()
    return seen


def test_linear_warmup_joins_the_schedule():
    schedule = WarmupParamScheduler(CosineParamScheduler(1.0, 0.0), 0.1, 0.2)
    cosine = [0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)]
    expected = [0.1, 0.5 * (0.1 + cosine[2]), *cosine[2:]]
    assert rates(LRMultiplier(optimizer(1.0), schedule, 10), 10) == pytest.approx(expected)


def test_constant_warmup():
    schedule = WarmupParamScheduler(LinearParamScheduler(1.0, 0.0), 0.1, 0.3, "constant")
    assert rates(LRMultiplier(optimizer(1.0), schedule, 10), 5) == pytest.approx([0.1, 0.1, 0.1, 0.7, 0.6])


def test_exponential_warmup_joins_the_schedule():
    schedule = WarmupParamScheduler(LinearParamScheduler(1.0, 0.0), 0.0125, 0.2, "exponential")
    expected = [0.0125 * 64 ** (step / 2) for step in range(3)]  # the same ratio each step, to 0.8
    assert rates(LRMultiplier(optimizer(1.0), schedule, 10), 4) == pytest.approx([*expected, 0.7])


def test_a_rescaled_schedule_begins_after_the_warmup():
    schedule = WarmupParamScheduler(LinearParamScheduler(1.0, 0.0), 0.0, 0.5, rescale_interval=True)
    assert rates(LRMultiplier(optimizer(1.0), schedule, 8), 8) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    )


@pytest.mark.parametrize("length", [0.0, 1.0])
def test_no_warmup_and_nothing_but_warmup(length):
    schedule = WarmupParamScheduler(ConstantParamScheduler(1.0), 0.0, length)
    expected = [step / 4 if length else 1.0 for step in range(4)]
    assert rates(LRMultiplier(optimizer(1.0), schedule, 4), 4) == pytest.approx(expected)


def test_wrong_warmups():
    with pytest.raises(ValueError, match="'exponential', got 'quadratic'"):
        WarmupParamScheduler(ConstantParamScheduler(1.0), 0.0, 0.5, "quadratic")
    with pytest.raises(ValueError, match="no way from 0.0 to 1.0"):
        WarmupParamScheduler(ConstantParamScheduler(1.0), 0.0, 0.5, "exponential")
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        WarmupParamScheduler(ConstantParamScheduler(1.0), 0.0, 1.5)


def test_each_group_keeps_its_ratio():
    opt = optimizer(1.0, 0.1)
    scheduler = LRMultiplier(opt, LinearParamScheduler(1.0, 0.0), 4)
    scheduler.step()
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.get_last_lr() == scheduler.get_lr() == pytest.approx([0.75, 0.075])


def test_it_stays_at_its_end():
    scheduler = LRMultiplier(optimizer(1.0), ConstantParamScheduler(1.0), 2)  # which raises at 1.0 itself
    assert rates(scheduler, 5) == [1.0] * 5
    assert LRMultiplier(optimizer(1.0), LinearParamScheduler(1.0, 0.0), 2).factor(7) == 0.5  # that of the last step


def test_it_starts_anywhere():
    scheduler = LRMultiplier(optimizer(1.0), LinearParamScheduler(1.0, 0.0), 4, last_iter=1)
    assert scheduler.last_epoch == 2
    assert scheduler.get_last_lr() == [0.5]
    scheduler.step(1)
    assert scheduler.get_last_lr() == [0.75]


def test_a_second_schedule_does_not_multiply_the_first():
    opt = optimizer(1.0)
    LRMultiplier(opt, ConstantParamScheduler(0.01), 10)
    LRMultiplier(opt, ConstantParamScheduler(0.5), 10)
    assert opt.param_groups[0]["lr"] == 0.5


def test_a_changed_learning_rate_survives_a_resume():
    first = LRMultiplier(optimizer(1.0), LinearParamScheduler(1.0, 0.0), 4)
    first.step()
    first.step()
    state = first.state_dict()
    assert state == {"base_lrs": [1.0], "last_epoch": 2}
    second = LRMultiplier(optimizer(3.0), LinearParamScheduler(1.0, 0.0), 4)
    second.load_state_dict(state)
    assert second.get_last_lr() == [1.5]
    second.load_state_dict(state, restore_base_lrs=True)
    assert second.get_last_lr() == [0.5]
    with pytest.raises(ValueError, match="optimizer has 2 groups"):
        LRMultiplier(optimizer(1.0, 2.0), ConstantParamScheduler(1.0), 4).load_state_dict(state, restore_base_lrs=True)


def test_wrong_arguments():
    opt = optimizer(1.0)
    with pytest.raises(TypeError, match="got StepLR"):
        LRMultiplier(opt, torch.optim.lr_scheduler.StepLR(opt, 1), 4)
    with pytest.raises(ValueError, match="max_iter=0"):
        LRMultiplier(opt, ConstantParamScheduler(1.0), 0)


def test_a_schedule_is_asked_for_steps_of_the_run_only():
    asked = []

    class Schedule(ParamScheduler):
        def __call__(self, where):
            asked.append(where)
            return 1.0

    scheduler = LRMultiplier(optimizer(1.0), Schedule(), 10)
    rates(scheduler, 12)
    assert set(asked) == {step / 10 for step in range(10)}
    fixed = StepWithFixedGammaParamScheduler(1.0, num_decays=3, gamma=0.5, num_updates=30)
    assert rates(LRMultiplier(optimizer(1.0), fixed, 30), 31)[-1] == pytest.approx(0.125)
