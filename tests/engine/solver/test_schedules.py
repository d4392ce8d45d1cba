import logging
import math

import numpy as np
import pytest
import torch

from shared_files import shared
from steploop.config import get_cfg
from steploop.engine.solver import build_lr_scheduler


def config(**solver):
    cfg = get_cfg()
    cfg.SOLVER.update({"BASE_LR": 0.5, "MAX_ITER": 100, "STEPS": (40, 80), "WARMUP_ITERS": 0, **solver})
    return cfg


def build(cfg):
    return build_lr_scheduler(cfg, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR))


def rates(**solver) -> list[float]:
    scheduler = build(config(**solver))
    seen = []
    for _ in range(100):
        seen.extend(scheduler.get_last_lr())
        scheduler.step()
    return seen


def test_multi_step():
    expected = [0.5 * (1.0 if step < 40 else 0.1 if step < 80 else 0.01) for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupMultiStepLR") == pytest.approx(expected)


def test_multi_step_drops_at_the_very_iteration_of_a_long_run():
    scheduler = build(config(MAX_ITER=20_000_000, STEPS=(10_000_001,)))
    assert [scheduler.factor(step) for step in (10_000_000, 10_000_001)] == pytest.approx([1.0, 0.1])


def test_cosine_ends_at_its_end():
    expected = [0.1 + 0.4 * 0.5 * (1 + math.cos(math.pi * step / 100)) for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupCosineLR", BASE_LR_END=0.1) == pytest.approx(expected)


def test_linear():
    expected = [0.5 - 0.4 * step / 100 for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupLinearLR", BASE_LR_END=0.1) == pytest.approx(expected)


def test_polynomial():
    expected = [0.1 + 0.4 * (1 - step / 100) ** 0.9 for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupPolyLR", BASE_LR_END=0.1) == pytest.approx(expected)


def test_polynomial_of_another_power():
    expected = [0.5 * (1 - step / 100) ** 2 for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupPolyLR", POLY_LR_POWER=2.0) == pytest.approx(expected)


def test_one_cycle_is_torchs_and_has_no_other_warmup():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 100, cycle_momentum=False)
    expected = []
    for _ in range(100):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates(LR_SCHEDULER_NAME="OneCycleLR", WARMUP_ITERS=50) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["WarmupCosineLR", "WarmupLinearLR", "WarmupPolyLR"])
def test_a_delayed_schedule_stays_and_is_then_squeezed_into_the_rest(name):
    delayed = rates(LR_SCHEDULER_NAME=name, DELAY_ITERS=20, WARMUP_ITERS=10, WARMUP_FACTOR=0.1)
    whole = rates(LR_SCHEDULER_NAME=name)
    assert delayed[0] == pytest.approx(0.05)
    assert delayed[10:21] == [0.5] * 11
    assert delayed[20::4] == pytest.approx(whole[::5])


def test_a_cycle_cannot_divide_by_nothing():
    cfg = config(LR_SCHEDULER_NAME="OneCycleLR")
    cfg.SOLVER.ONE_CYCLE.DIV_FACTOR = 0.0
    with pytest.raises(ValueError, match=r"ONE_CYCLE.FINAL_DIV_FACTOR are positive, got 0.0 and 10000.0"):
        build(cfg)


def golden_rates(run: str, per_epoch: int) -> list[float]:
    return np.load(shared("golden/schedules.npz"))[f"{run}_ipe{per_epoch}"].tolist()


WARMUP = {"BASE_LR": 3.5e-4, "WARMUP_ITERS": 2000, "WARMUP_FACTOR": 0.1}


@pytest.mark.parametrize("per_epoch", [100, 187])
def test_fast_reids_multi_step(per_epoch):
    golden = golden_rates("bagtricks_R50", per_epoch)
    hidden = -(-2000 // per_epoch) - 1  # epochs within the warm-up, which it does not count
    steps = tuple((epoch + hidden) * per_epoch for epoch in (40, 90))
    scheduler = build(config(MAX_ITER=len(golden), STEPS=steps, **WARMUP))
    assert [3.5e-4 * scheduler.factor(step) for step in range(len(golden))] == pytest.approx(golden, rel=1e-6)


@pytest.mark.parametrize("per_epoch", [100, 187])
def test_fast_reids_delayed_cosine_at_the_start_of_each_epoch(per_epoch):
    golden = golden_rates("sbs_R50", per_epoch)
    cosine = {"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 7e-7, "DELAY_ITERS": 30 * per_epoch}
    scheduler = build(config(MAX_ITER=len(golden), **cosine, **WARMUP))
    # There it changes once an epoch; here at each step.
    steps = [step if step < 2000 else max(step // per_epoch * per_epoch, 2000) for step in range(len(golden))]
    assert [3.5e-4 * scheduler.factor(step) for step in steps] == pytest.approx(golden, rel=1e-6)


def test_constant_with_warmup():
    expected = [0.5 * (0.1 + 0.9 * step / 10) if step < 10 else 0.5 for step in range(100)]
    assert rates(LR_SCHEDULER_NAME="WarmupConstantLR", WARMUP_ITERS=10, WARMUP_FACTOR=0.1) == pytest.approx(expected)


def test_warmup_hides_the_beginning_of_the_schedule():
    warm = rates(LR_SCHEDULER_NAME="WarmupCosineLR", WARMUP_ITERS=10, WARMUP_FACTOR=0.1)
    cold = rates(LR_SCHEDULER_NAME="WarmupCosineLR")
    assert warm[10:] == pytest.approx(cold[10:])
    assert warm[0] == pytest.approx(0.05)
    assert warm[5] == pytest.approx((0.05 + cold[10]) / 2)


@pytest.fixture
def warnings(caplog):
    """Collect warnings, also where another test has set the project's logger up."""
    log = logging.getLogger("steploop.engine.solver.schedules")
    log.addHandler(caplog.handler)
    yield caplog
    log.removeHandler(caplog.handler)


def test_steps_after_the_end_are_ignored_with_a_warning(warnings):
    scheduler = build(config(STEPS=(40, 100, 200)))
    assert scheduler.factor(99) == pytest.approx(0.1)
    assert "(100, 200)" in warnings.text
    assert "MAX_ITER is 100" in warnings.text


def test_a_warmup_longer_than_the_run_takes_all_of_it(warnings):
    scheduler = build(config(LR_SCHEDULER_NAME="WarmupConstantLR", WARMUP_ITERS=1000, WARMUP_FACTOR=0.0))
    assert scheduler.factor(50) == pytest.approx(0.5)
    assert "WARMUP_ITERS is 1000 but the run has only 100" in warnings.text


def test_a_delay_longer_than_the_run_keeps_the_rate(warnings):
    scheduler = build(config(LR_SCHEDULER_NAME="WarmupCosineLR", DELAY_ITERS=100))
    assert scheduler.factor(99) == 1.0
    assert "DELAY_ITERS is 100 but the run has only 100 iterations" in warnings.text


@pytest.mark.parametrize(
    "solver, error, message",
    [
        ({"LR_SCHEDULER_NAME": "WarmupCosinLR"}, KeyError, "did you mean 'WarmupCosineLR'"),
        ({"STEPS": (80, 40)}, ValueError, r"that grow, got \(80, 40\)"),
        ({"MAX_ITER": 0}, ValueError, "at least 1"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 0.6}, ValueError, "got 0.6 with BASE_LR 0.5"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR": 0.0}, ValueError, "with BASE_LR 0.0"),
        ({"WARMUP_METHOD": "quadratic"}, ValueError, "got 'quadratic'"),
        ({"DELAY_ITERS": 5}, ValueError, "delays WarmupCosineLR, .*, not WarmupMultiStepLR: set it to 0"),
        ({"DELAY_ITERS": -1}, ValueError, "DELAY_ITERS at least 0, got 100, 0 and -1"),
        ({"LR_SCHEDULER_NAME": "WarmupPolyLR", "POLY_LR_POWER": 0.0}, ValueError, "is positive, got 0.0"),
    ],
)
def test_wrong_settings(solver, error, message):
    with pytest.raises(error, match=message):
        build(config(**solver))
