"""The momentum as a function of the step."""

from collections.abc import Callable
from typing import Any

import torch
from fvcore.common.param_scheduler import CosineParamScheduler, LinearParamScheduler, ParamScheduler

from steploop.config import CfgNode

from .names import look_up
from .param_schedulers import OneCycle


class MomentumSchedule:
    """Changes the momentum of each group from its initial value towards `end`.

    The momentum is the option "momentum" (SGD, RMSprop), or the first of "betas" (Adam and similar optimizers).

    Args:
        optimizer: its groups' "initial_momentum", or their momentum if there is none, is the initial value.
        way: maps the share of the run that is done, in [0, 1), to the fraction of the change from the initial value to
            `end`, in [0, 1].
        end: a momentum, in [0, 1).

    Raises:
        ValueError: the optimizer has no momentum, or `end` is outside [0, 1).
    """

    def __init__(self, optimizer: torch.optim.Optimizer, way: ParamScheduler, end: float) -> None:
        if not 0.0 <= end < 1.0:
            raise ValueError(f"a momentum (SOLVER.MOMENTUM_END) is in [0, 1), got {end}")
        if not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(
                f"{type(optimizer).__name__} has no momentum that a schedule could move: leave "
                "SOLVER.MOMENTUM_SCHEDULE empty, or choose an optimizer that has (SGD, RMSprop, Adam, ...)"
            )
        self._optimizer = optimizer
        self._way = way
        self._end = end
        self._first = [group.setdefault("initial_momentum", momentum_of(group)) for group in optimizer.param_groups]

    def set_to(self, where: float) -> None:
        """Set each group's momentum for `where`, the share of the run that is done, in [0, 1)."""
        way = self._way(where)
        for group, first in zip(self._optimizer.param_groups, self._first):
            value = first + (self._end - first) * way
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


def momentum_of(group: dict[str, Any]) -> float:
    """Return the momentum of a parameter group that has one."""
    return group["betas"][0] if "betas" in group else group["momentum"]


def build_momentum_schedule(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> MomentumSchedule | None:
    """Build the schedule that SOLVER.MOMENTUM_SCHEDULE names; None if it is empty.

    The momentum goes from the optimizer's own value (SOLVER.MOMENTUM, or the first of OPT_ARGS.betas) to
    SOLVER.MOMENTUM_END:

    - Linear, Cosine: it reaches MOMENTUM_END at the end of the run.
    - OneCycle: it reaches MOMENTUM_END at the peak of OneCycleLR and then returns: it falls while the learning rate
      rises (arXiv:1708.07120).

    Raises:
        KeyError: there is no schedule of that name.
        ValueError: the optimizer has no momentum, or a setting is out of its range.
    """
    solver = cfg.SOLVER
    if not solver.MOMENTUM_SCHEDULE:
        return None
    way = look_up("SOLVER.MOMENTUM_SCHEDULE", solver.MOMENTUM_SCHEDULE, _WAYS)(solver)
    return MomentumSchedule(optimizer, way, solver.MOMENTUM_END)


def _one_cycle(solver: CfgNode) -> ParamScheduler:
    cycle = solver.ONE_CYCLE
    return OneCycle(0.0, 1.0, 0.0, cycle.PCT_START, solver.MAX_ITER, cycle.ANNEAL)


_WAYS: dict[str, Callable[[CfgNode], ParamScheduler]] = {
    "Linear": lambda solver: LinearParamScheduler(0.0, 1.0),
    "Cosine": lambda solver: CosineParamScheduler(0.0, 1.0),
    "OneCycle": _one_cycle,
}
