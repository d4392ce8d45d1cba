"""The schedules that a config can name."""

import logging
from collections.abc import Callable

import torch
from fvcore.common.param_scheduler import (
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)

from steploop.config import CfgNode

from .lr_scheduler import LRMultiplier, WarmupParamScheduler
from .momentum import build_momentum_schedule
from .names import look_up
from .param_schedulers import Delayed, MultipliedWarmup, MultiStep, OneCycle, Polynomial, Staircase

logger = logging.getLogger(__name__)


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
    """Build the learning rate schedule that cfg.SOLVER describes, with its warm-up, and the momentum schedule.

    With e = BASE_LR_END / BASE_LR and t = max(0, step - DELAY_ITERS) / (MAX_ITER - DELAY_ITERS), LR_SCHEDULER_NAME
    selects the factor of BASE_LR:

    - WarmupMultiStepLR: GAMMA ** (number of STEPS that were reached)
    - WarmupCosineLR: e + (1 - e) * (1 + cos(pi * t)) / 2   (arXiv:1608.03983, without restarts)
    - WarmupLinearLR: 1 - (1 - e) * t
    - WarmupPolyLR: e + (1 - e) * (1 - t) ** POLY_LR_POWER   (arXiv:1606.00915)
    - WarmupConstantLR: 1
    - OneCycleLR: up from 1 / DIV_FACTOR to 1 at the share PCT_START of the run, then down to
      1 / (DIV_FACTOR * FINAL_DIV_FACTOR)   (arXiv:1708.07120; the keys are in ONE_CYCLE)

    With LR_STAIRS, a cosine, linear or polynomial schedule keeps its value in each of so many equal parts of the run.

    During the first WARMUP_ITERS steps, WARMUP_FACTOR and WARMUP_METHOD give the factor instead, except for
    OneCycleLR, which has its own rise. With WARMUP_MULTIPLIES the warm-up is a factor from WARMUP_FACTOR to 1 on the
    schedule's own values, as in mmcv.

    Raises:
        KeyError: there is no schedule of that name.
        ValueError: a setting is out of its range.
    """
    solver = cfg.SOLVER
    build = look_up("SOLVER.LR_SCHEDULER_NAME", solver.LR_SCHEDULER_NAME, _SCHEDULES)
    if solver.MAX_ITER < 1 or solver.WARMUP_ITERS < 0 or solver.DELAY_ITERS < 0:
        raise ValueError(
            "SOLVER.MAX_ITER is at least 1, SOLVER.WARMUP_ITERS and SOLVER.DELAY_ITERS at least 0, "
            f"got {solver.MAX_ITER}, {solver.WARMUP_ITERS} and {solver.DELAY_ITERS}"
        )
    schedule = _stairs(_delay(build(solver), solver), solver)
    if solver.LR_SCHEDULER_NAME != "OneCycleLR":
        schedule = _warm_up(schedule, solver)
    return LRMultiplier(optimizer, schedule, solver.MAX_ITER, momentum=build_momentum_schedule(cfg, optimizer))


def _warm_up(schedule: ParamScheduler, solver: CfgNode) -> ParamScheduler:
    if solver.WARMUP_ITERS > solver.MAX_ITER:
        logger.warning(
            "SOLVER.WARMUP_ITERS is %d but the run has only %d iterations: all of it is warm-up",
            solver.WARMUP_ITERS,
            solver.MAX_ITER,
        )
    length = min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0)
    if solver.WARMUP_MULTIPLIES:
        return _multiplied(schedule, length, solver)
    return WarmupParamScheduler(schedule, solver.WARMUP_FACTOR, length, solver.WARMUP_METHOD)


def _multiplied(schedule: ParamScheduler, length: float, solver: CfgNode) -> ParamScheduler:
    if solver.WARMUP_METHOD not in ("linear", "constant", "exponential"):
        raise ValueError(
            f"a warm-up (SOLVER.WARMUP_METHOD) is 'linear', 'constant' or 'exponential', got {solver.WARMUP_METHOD!r}"
        )
    if not length:
        return schedule
    return MultipliedWarmup(schedule, solver.WARMUP_FACTOR, length, solver.WARMUP_METHOD)


def _stairs(schedule: ParamScheduler, solver: CfgNode) -> ParamScheduler:
    if not solver.LR_STAIRS:
        return schedule
    if solver.LR_STAIRS < 0 or solver.LR_SCHEDULER_NAME not in _DECAYS:
        raise ValueError(
            f"SOLVER.LR_STAIRS ({solver.LR_STAIRS}) is a number of parts of {', '.join(_DECAYS)}, or 0: set it to 0 "
            f"for {solver.LR_SCHEDULER_NAME}"
        )
    return Staircase(schedule, solver.LR_STAIRS)


def _delay(schedule: ParamScheduler, solver: CfgNode) -> ParamScheduler:
    if not solver.DELAY_ITERS:
        return schedule
    if solver.LR_SCHEDULER_NAME not in _DECAYS:
        raise ValueError(
            f"SOLVER.DELAY_ITERS ({solver.DELAY_ITERS}) delays {', '.join(_DECAYS)}, not {solver.LR_SCHEDULER_NAME}: "
            "set it to 0"
        )
    if solver.DELAY_ITERS >= solver.MAX_ITER:
        logger.warning(
            "SOLVER.DELAY_ITERS is %d but the run has only %d iterations: the learning rate does not decay",
            solver.DELAY_ITERS,
            solver.MAX_ITER,
        )
        return ConstantParamScheduler(1.0)
    return Delayed(schedule, solver.DELAY_ITERS / solver.MAX_ITER)


def _multi_step(solver: CfgNode) -> ParamScheduler:
    steps = list(solver.STEPS)
    if any(a >= b for a, b in zip(steps, steps[1:])) or any(step < 1 for step in steps):
        raise ValueError(f"SOLVER.STEPS are iterations >= 1 that grow, got {tuple(steps)}")
    reached = [step for step in steps if step < solver.MAX_ITER]
    if len(reached) < len(steps):
        logger.warning(
            "SOLVER.STEPS %s lie at or after the end of the run (SOLVER.MAX_ITER is %d) and are ignored",
            tuple(steps[len(reached) :]),
            solver.MAX_ITER,
        )
    return MultiStep(reached, solver.GAMMA, solver.MAX_ITER)


def _polynomial(solver: CfgNode) -> ParamScheduler:
    if solver.POLY_LR_POWER <= 0.0:
        raise ValueError(f"SOLVER.POLY_LR_POWER is positive, got {solver.POLY_LR_POWER}")
    return Polynomial(_relative_end(solver), solver.POLY_LR_POWER)


def _one_cycle(solver: CfgNode) -> ParamScheduler:
    cycle = solver.ONE_CYCLE
    if cycle.DIV_FACTOR <= 0.0 or cycle.FINAL_DIV_FACTOR <= 0.0:
        raise ValueError(
            "SOLVER.ONE_CYCLE.DIV_FACTOR and SOLVER.ONE_CYCLE.FINAL_DIV_FACTOR are positive, "
            f"got {cycle.DIV_FACTOR} and {cycle.FINAL_DIV_FACTOR}"
        )
    start = 1.0 / cycle.DIV_FACTOR
    return OneCycle(start, 1.0, start / cycle.FINAL_DIV_FACTOR, cycle.PCT_START, solver.MAX_ITER, cycle.ANNEAL)


def _relative_end(solver: CfgNode) -> float:
    if not 0.0 <= solver.BASE_LR_END <= solver.BASE_LR or solver.BASE_LR == 0.0:
        raise ValueError(
            f"SOLVER.BASE_LR_END is an absolute learning rate in [0, BASE_LR], "
            f"got {solver.BASE_LR_END} with BASE_LR {solver.BASE_LR}"
        )
    return solver.BASE_LR_END / solver.BASE_LR


# The schedules that DELAY_ITERS can delay.
_DECAYS: dict[str, Callable[[CfgNode], ParamScheduler]] = {
    "WarmupCosineLR": lambda solver: CosineParamScheduler(1.0, _relative_end(solver)),
    "WarmupLinearLR": lambda solver: LinearParamScheduler(1.0, _relative_end(solver)),
    "WarmupPolyLR": _polynomial,
}
_SCHEDULES: dict[str, Callable[[CfgNode], ParamScheduler]] = {
    "WarmupMultiStepLR": _multi_step,
    **_DECAYS,
    "WarmupConstantLR": lambda solver: ConstantParamScheduler(1.0),
    "OneCycleLR": _one_cycle,
}
