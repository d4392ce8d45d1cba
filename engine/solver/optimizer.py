"""Any optimizer of torch.optim, by its name."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from steploop.config import CfgNode

from .names import look_up
from .param_groups import get_default_optimizer_params


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer that cfg.SOLVER describes.

    OPT names the class and OPT_ARGS has further arguments of its constructor; MOMENTUM and NESTEROV are passed to the
    classes that accept them. Each parameter group lists its "param_names", so that a checkpoint is matched by name.

    Args:
        cfg: the whole config.
        model: the bare model (not wrapped for several processes), on the device where it will be trained.

    Raises:
        KeyError: torch.optim has no optimizer of that name.
        TypeError: OPT_ARGS has an argument that the class does not accept, or one that has its own key in SOLVER.
        ValueError: the class does not support a setting (weight decay, steps without a closure), or LR_FACTORS names a
            module that the model does not have.
    """
    solver = cfg.SOLVER
    for key in ("BASE_LR", "WEIGHT_DECAY", "MOMENTUM"):
        if not solver[key] >= 0:
            raise ValueError(f"SOLVER.{key} is at least 0, got {solver[key]}")
    cls = _optimizer_class(solver.OPT)
    accepted = set(inspect.signature(cls).parameters) - {"self", "params"}
    groups = get_default_optimizer_params(
        model,
        solver.BASE_LR,
        solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        lr_factors=_lr_factors(solver.LR_FACTORS),
    )
    if "weight_decay" not in accepted:
        _drop_weight_decay(groups, solver.OPT)
    options = {"lr": solver.BASE_LR, "momentum": solver.MOMENTUM, "nesterov": solver.NESTEROV}
    options = {name: value for name, value in options.items() if name in accepted}
    arguments = _checked_arguments(solver, accepted)
    try:
        return cls(groups, **options, **arguments)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"SOLVER.OPT {solver.OPT} rejects its options: {error}; see SOLVER and SOLVER.OPT_ARGS"
        ) from error


def _lr_factors(pairs: Sequence[Any]) -> dict[str, float]:
    for pair in pairs:
        if not isinstance(pair, list | tuple) or [type(part) for part in pair] not in ([str, float], [str, int]):
            raise ValueError(
                f'SOLVER.LR_FACTORS is a list like [["heads", 10.0]], of modules and factors; got {pairs!r}'
            )
    return {name: float(factor) for name, factor in pairs}


def _optimizer_class(name: str) -> type[torch.optim.Optimizer]:
    base = torch.optim.Optimizer
    known = {
        key: cls
        for key, cls in vars(torch.optim).items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls is not base
    }
    cls = look_up("SOLVER.OPT", name, known)
    if inspect.signature(cls.step).parameters["closure"].default is inspect.Parameter.empty:
        raise ValueError(f"SOLVER.OPT {name!r} must compute the loss again within a step; the loop does not")
    return cls


def _checked_arguments(solver: CfgNode, accepted: set[str]) -> dict[str, Any]:
    own_keys = {"lr": "BASE_LR", "weight_decay": "WEIGHT_DECAY", "momentum": "MOMENTUM", "nesterov": "NESTEROV"}
    arguments = dict(solver.OPT_ARGS)
    for name in sorted(arguments.keys() & own_keys.keys()):
        raise TypeError(f"SOLVER.OPT_ARGS.{name} has a key of its own: set SOLVER.{own_keys[name]}")
    unknown = sorted(arguments.keys() - accepted)
    if unknown:
        raise TypeError(
            f"SOLVER.OPT_ARGS: {solver.OPT} does not take {', '.join(unknown)}; "
            f"it takes {', '.join(sorted(accepted - own_keys.keys()))}"
        )
    return arguments


def _drop_weight_decay(groups: list[dict[str, Any]], name: str) -> None:
    for group in groups:
        if group.pop("weight_decay", 0):
            raise ValueError(f"{name} has no weight decay: set SOLVER.WEIGHT_DECAY (_NORM, _BIAS) to 0")
