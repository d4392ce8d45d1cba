import pytest
import torch
from fvcore.common.param_scheduler import LinearParamScheduler

from exact_runs import differences, train
from steploop.config import get_cfg
from steploop.engine.solver import build_lr_scheduler, build_optimizer
from steploop.engine.solver.momentum import MomentumSchedule, momentum_of


def build(**solver):
    cfg = get_cfg()
    cfg.SOLVER.update({"MAX_ITER": 10, "STEPS": (), "WARMUP_ITERS": 0, **solver})
    return build_lr_scheduler(cfg, build_optimizer(cfg, torch.nn.Linear(2, 2)))


def momenta(scheduler, steps=10):
    seen = []
    for _ in range(steps):
        seen.append(momentum_of(scheduler.optimizer.param_groups[0]))
        scheduler.step()
    return seen


def test_without_a_name_nothing_moves():
    scheduler = build()
    assert not scheduler.cycle_momentum
    assert momenta(scheduler) == [0.9] * 10
    assert "initial_momentum" not in scheduler.optimizer.param_groups[0]


def test_linear_from_the_optimizers_own_to_the_end():
    expected = [0.9 - 0.4 * step / 10 for step in range(10)]
    assert momenta(build(MOMENTUM_SCHEDULE="Linear", MOMENTUM_END=0.5)) == pytest.approx(expected)


def test_cosine():
    scheduler = build(MOMENTUM_SCHEDULE="Cosine", MOMENTUM_END=0.5)
    assert momenta(scheduler)[5] == pytest.approx(0.7)


def test_one_cycle_moves_against_the_rate_as_torchs_does():
    scheduler = build(
        LR_SCHEDULER_NAME="OneCycleLR", MOMENTUM_SCHEDULE="OneCycle", MOMENTUM=0.95, MOMENTUM_END=0.85, BASE_LR=1.0
    )
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, 1.0, 10)
    for _ in range(10):
        group, expected = scheduler.optimizer.param_groups[0], theirs.param_groups[0]
        assert (group["lr"], group["momentum"]) == pytest.approx((expected["lr"], expected["momentum"]))
        theirs.step()
        scheduler.step()
        if reference.last_epoch < 9:
            reference.step()


def test_the_first_beta_moves_and_the_second_stays():
    scheduler = build(OPT="Adam", OPT_ARGS={"betas": [0.8, 0.99]}, MOMENTUM_SCHEDULE="Linear", MOMENTUM_END=0.4)
    scheduler.step(5)
    assert all(group["betas"] == (pytest.approx(0.6), 0.99) for group in scheduler.optimizer.param_groups)


def test_it_is_a_function_of_the_step():
    scheduler = build(MOMENTUM_SCHEDULE="Linear", MOMENTUM_END=0.5)
    all_at_once = momenta(scheduler)
    other = build(MOMENTUM_SCHEDULE="Linear", MOMENTUM_END=0.5)
    other.load_state_dict({**scheduler.state_dict(), "last_epoch": 4})
    assert momenta(other, 6) == all_at_once[4:]


def test_a_second_schedule_starts_from_the_first_value():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    for _ in range(2):
        MomentumSchedule(optimizer, LinearParamScheduler(0.0, 1.0), 0.5).set_to(0.5)
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    "solver, error, message",
    [
        ({"MOMENTUM_SCHEDULE": "OneCycel"}, KeyError, "did you mean 'OneCycle'"),
        (
            {"MOMENTUM_SCHEDULE": "x"},
            KeyError,
            "MOMENTUM_SCHEDULE: unknown name 'x'. Known: Linear, Cosine, One",
        ),
        ({"MOMENTUM_SCHEDULE": "Linear", "MOMENTUM_END": 1.0}, ValueError, r"MOMENTUM_END\) is in \[0, 1\), got 1.0"),
        ({"MOMENTUM_SCHEDULE": "Linear", "OPT": "Adagrad"}, ValueError, "Adagrad has no momentum"),
    ],
)
def test_wrong_settings(solver, error, message):
    with pytest.raises(error, match=message):
        build(**solver)


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_killed_run_resumes_in_the_same_bits(tmp_path, optimizer):
    overrides = (
        *("SOLVER.OPT", optimizer, "SOLVER.LR_SCHEDULER_NAME", "OneCycleLR", "SOLVER.MOMENTUM_SCHEDULE", "OneCycle"),
        *("SOLVER.MOMENTUM_END", 0.5),
    )
    whole = train(tmp_path / "whole", *overrides)
    train(tmp_path / "killed", *overrides, kill=("after_step", 7))
    resumed = train(tmp_path / "killed", *overrides)
    assert resumed.start_iter == 6
    assert differences(tmp_path / "whole", tmp_path / "killed") == []
    assert len({value for value, _ in whole.storage.history("momentum").values()}) > 6
