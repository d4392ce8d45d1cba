"""The schedules that a config can name."""

import bisect
import logging
from collections.abc import Callable, Sequence

import torch
from fvcore.common.param_scheduler import (
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    ParamScheduler,
)

from steploop.config import CfgNode
from steploop.config.errors import UnknownKeyError, nearest

from .lr_scheduler import LRMultiplier, WarmupParamScheduler

logger = logging.getLogger(__name__)


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
    """Build the schedule that cfg.SOLVER describes, with its warm-up.

    With t = step / MAX_ITER and e = BASE_LR_END / BASE_LR, LR_SCHEDULER_NAME is one of:

    - WarmupMultiStepLR: GAMMA ** (number of STEPS that are over)
    - WarmupCosineLR: e + (1 - e) * (1 + cos(pi * t)) / 2   (arXiv:1608.03983, without restarts)
    - WarmupLinearLR: 1 - (1 - e) * t
    - WarmupPolyLR: e + (1 - e) * (1 - t) ** 0.9   (arXiv:1606.00915)
    - WarmupConstantLR: 1

    During the first WARMUP_ITERS steps the factor comes from WARMUP_FACTOR and WARMUP_METHOD instead.

    Raises:
        KeyError: there is no schedule of that name.
        ValueError: a setting is out of its range.
    """
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME not in _SCHEDULES:
        near = nearest(solver.LR_SCHEDULER_NAME, _SCHEDULES)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnknownKeyError(
            f"SOLVER.LR_SCHEDULER_NAME is one of {', '.join(_SCHEDULES)}, got {solver.LR_SCHEDULER_NAME!r}{hint}"
        )
    if solver.MAX_ITER < 1 or solver.WARMUP_ITERS < 0:
        raise ValueError(
            f"SOLVER.MAX_ITER is at least 1 and SOLVER.WARMUP_ITERS at least 0, "
            f"got {solver.MAX_ITER} and {solver.WARMUP_ITERS}"
        )
    if solver.WARMUP_ITERS > solver.MAX_ITER:
        logger.warning(
            "SOLVER.WARMUP_ITERS is %d but the run has only %d iterations: all of it is warm-up",
            solver.WARMUP_ITERS,
            solver.MAX_ITER,
        )
    schedule = WarmupParamScheduler(
        _SCHEDULES[solver.LR_SCHEDULER_NAME](solver),
        solver.WARMUP_FACTOR,
        min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0),
        solver.WARMUP_METHOD,
    )
    return LRMultiplier(optimizer, schedule, solver.MAX_ITER)


class _MultiStep(ParamScheduler):
    """gamma ** (number of milestones reached); exact to the iteration however long the run."""

    def __init__(self, milestones: Sequence[int], gamma: float, max_iter: int) -> None:
        self._milestones = milestones
        self._values = [gamma**k for k in range(len(milestones) + 1)]
        self._max_iter = max_iter

    def __call__(self, where: float) -> float:
        # Rounding finds the iteration again; a fixed tolerance on `where` drops too early in runs of a million.
        return self._values[bisect.bisect_right(self._milestones, round(where * self._max_iter))]


class _Polynomial(ParamScheduler):
    """From 1 to `end` with the power of DeepLab, 0.9."""

    def __init__(self, end: float) -> None:
        self._end = end

    def __call__(self, where: float) -> float:
        return self._end + (1.0 - self._end) * (1.0 - where) ** 0.9


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
    return _MultiStep(reached, solver.GAMMA, solver.MAX_ITER)


def _relative_end(solver: CfgNode) -> float:
    if not 0.0 <= solver.BASE_LR_END <= solver.BASE_LR or solver.BASE_LR == 0.0:
        raise ValueError(
            f"SOLVER.BASE_LR_END is an absolute learning rate in [0, BASE_LR], "
            f"got {solver.BASE_LR_END} with BASE_LR {solver.BASE_LR}"
        )
    return solver.BASE_LR_END / solver.BASE_LR


_SCHEDULES: dict[str, Callable[[CfgNode], ParamScheduler]] = {
    "WarmupMultiStepLR": _multi_step,
    "WarmupCosineLR": lambda solver: CosineParamScheduler(1.0, _relative_end(solver)),
    "WarmupLinearLR": lambda solver: LinearParamScheduler(1.0, _relative_end(solver)),
    "WarmupPolyLR": lambda solver: _Polynomial(_relative_end(solver)),
    "WarmupConstantLR": lambda solver: ConstantParamScheduler(1.0),
}
