import logging
import math

import pytest
import torch

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


@pytest.mark.parametrize(
    "solver, error, message",
    [
        ({"LR_SCHEDULER_NAME": "WarmupCosinLR"}, KeyError, "did you mean 'WarmupCosineLR'"),
        ({"STEPS": (80, 40)}, ValueError, r"that grow, got \(80, 40\)"),
        ({"MAX_ITER": 0}, ValueError, "at least 1"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR_END": 0.6}, ValueError, "got 0.6 with BASE_LR 0.5"),
        ({"LR_SCHEDULER_NAME": "WarmupCosineLR", "BASE_LR": 0.0}, ValueError, "with BASE_LR 0.0"),
        ({"WARMUP_METHOD": "quadratic"}, ValueError, "got 'quadratic'"),
    ],
)
def test_wrong_settings(solver, error, message):
    with pytest.raises(error, match=message):
        build(config(**solver))
