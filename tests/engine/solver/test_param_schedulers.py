import warnings

import pytest
import torch
from fvcore.common.param_scheduler import CompositeParamScheduler, ConstantParamScheduler, CosineParamScheduler

from steploop.engine.solver.param_schedulers import Delayed, OneCycle, Polynomial


def of_torch(steps, build):
    """Return the (learning rate, momentum) that a torch schedule gives to each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.95)
    schedule = build(optimizer)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no step was made
        for _ in range(steps):
            seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            schedule.step()
    return seen


@pytest.mark.parametrize("steps", [3, 10, 97])
@pytest.mark.parametrize("rise", [0.0, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_is_torchs(steps, rise, anneal):
    def build(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, steps, pct_start=rise, anneal_strategy=anneal, div_factor=25.0, final_div_factor=100.0
        )

    rate = OneCycle(0.04, 1.0, 0.0004, rise, steps, anneal)
    way = OneCycle(0.0, 1.0, 0.0, rise, steps, anneal)
    ours = [(rate(step / steps), 0.95 - 0.1 * way(step / steps)) for step in range(steps)]
    for got, expected in zip(ours, of_torch(steps, build), strict=True):
        assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rise", [0.0, 0.3, 0.5])
def test_a_cycle_of_one_or_two_steps_ends_at_its_end(rise):
    assert OneCycle(0.1, 1.0, 0.01, rise, 1)(0.0) in (pytest.approx(0.01), pytest.approx(1.0))
    assert OneCycle(0.1, 1.0, 0.01, rise, 2)(0.5) == pytest.approx(0.01)


def test_after_its_end_a_cycle_stays_there():
    assert OneCycle(0.1, 1.0, 0.01, 0.3, 10)(0.9999999) == pytest.approx(0.01)


def test_a_wrong_cycle():
    with pytest.raises(ValueError, match=r"PCT_START\) is a share in \[0, 1\), got 1.0"):
        OneCycle(0.1, 1.0, 0.01, 1.0, 10)
    with pytest.raises(ValueError, match="'cos' or 'linear', got 'cosine'"):
        OneCycle(0.1, 1.0, 0.01, 0.3, 10, "cosine")


@pytest.mark.parametrize("power", [0.5, 0.9, 1.0, 2.0])
def test_a_polynomial_is_torchs(power):
    expected = of_torch(20, lambda optimizer: torch.optim.lr_scheduler.PolynomialLR(optimizer, 20, power))
    assert [Polynomial(0.0, power)(step / 20) for step in range(20)] == pytest.approx([rate for rate, _ in expected])


def test_a_delay_is_fvcores_constant_and_then_the_schedule():
    cosine = CosineParamScheduler(1.0, 0.1)
    theirs = CompositeParamScheduler([ConstantParamScheduler(1.0), cosine], [0.25, 0.75], ["rescaled", "rescaled"])
    ours = Delayed(cosine, 0.25)
    assert [ours(step / 101) for step in range(101)] == pytest.approx([theirs(step / 101) for step in range(101)])
