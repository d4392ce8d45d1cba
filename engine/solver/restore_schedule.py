"""Saves and restores a learning rate scheduler together with the optimizer's options that it sets."""

import inspect
import logging
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .lr_scheduler import LRMultiplier

logger = logging.getLogger(__name__)

_GROUPS = "param_groups"
# Most schedulers of torch compute the next rate from the optimizer's current one, so it is a part of their state.
_MOVED = ("lr", "momentum", "betas")


def schedule_state(scheduler: LRScheduler, optimizer: Optimizer) -> dict[str, Any]:
    """Return the scheduler's `state_dict`; for one of torch's, also the options that it sets in each group.

    An LRMultiplier is a function of the step, so its own state is enough.
    """
    state = dict(scheduler.state_dict())
    if not isinstance(scheduler, LRMultiplier):
        state[_GROUPS] = [_scheduled_options(optimizer, group) for group in optimizer.param_groups]
    return state


def restore_schedule(scheduler: LRScheduler, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load the result of `schedule_state` into the scheduler and the optimizer's groups.

    Raises:
        ValueError: the state has another number of parameter groups.
    """
    state = dict(state)
    groups = state.pop(_GROUPS, None)
    if isinstance(scheduler, LRMultiplier):
        scheduler.load_state_dict(state)
        return
    if groups is None:  # written by steploop 0.2, which stored only the learning rates of the next step
        groups = [{"lr": rate} for rate in state.get("_last_lr", [])]
    if len(groups) != len(optimizer.param_groups):
        raise ValueError(
            f"the state of {type(scheduler).__name__} is that of {len(groups)} parameter groups, the optimizer has "
            f"{len(optimizer.param_groups)}: resume with the same groups, or return a schedule that is a function of "
            "the step (steploop.engine.LRMultiplier)"
        )
    before = _containers(scheduler)
    scheduler.load_state_dict(state)
    _restore_types(before)
    for group, saved in zip(optimizer.param_groups, groups):
        if saved["lr"] != group["lr"]:
            logger.info("%s is restored: the learning rate is %g", type(scheduler).__name__, saved["lr"])
        group.update(saved)


def refuse_metric_schedulers(scheduler: LRScheduler) -> None:
    """Raise TypeError for a scheduler whose `step` needs arguments, such as the metric of ReduceLROnPlateau."""
    needed = [
        parameter.name
        for parameter in inspect.signature(scheduler.step).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    if needed:
        raise TypeError(
            f"{type(scheduler).__name__}.step needs {', '.join(needed)}, and the engine steps a schedule after each "
            "step without a metric: step it in a hook of your own after the evaluation (and keep its state in the "
            "hook's state_dict), or return another scheduler from build_lr_scheduler"
        )


def _scheduled_options(optimizer: Optimizer, group: dict[str, Any]) -> dict[str, Any]:
    fixed = {"params", "param_names", *optimizer.defaults} - set(_MOVED)
    return {name: value for name, value in group.items() if name not in fixed}


def _containers(scheduler: Any) -> list[tuple[Any, str, type]]:
    """Return (scheduler, attribute, type) of all dict attributes, also of the schedulers inside of this one."""
    own = [(scheduler, name, type(value)) for name, value in vars(scheduler).items() if isinstance(value, dict)]
    return own + [entry for inner in getattr(scheduler, "_schedulers", ()) for entry in _containers(inner)]


def _restore_types(before: list[tuple[Any, str, type]]) -> None:
    """Restore the types of dict attributes: a checkpoint stores MultiStepLR's Counter of milestones as a plain dict."""
    for scheduler, name, kind in before:
        value = getattr(scheduler, name)
        if type(value) is not kind:
            setattr(scheduler, name, kind(value))
