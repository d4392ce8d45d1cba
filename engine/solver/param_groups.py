"""Parameter groups: the learning rate and the weight decay of each parameter."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from steploop.config.errors import unknown

_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float | None = None,
    weight_decay: float | None = None,
    *,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float = 1.0,
    weight_decay_bias: float | None = None,
    lr_factors: Mapping[str, float] | None = None,
    lr_factor_func: Callable[[str], float] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer: parameters with equal settings share one.

    Frozen parameters are skipped; one that two modules share is counted once, under its first name. Groups and the
    parameters in them have the model's order. Options that are None are not set: the optimizer uses its default.

    Args:
        model: the model with the parameters.
        base_lr: learning rate; the factors below multiply it.
        weight_decay: weight decay of parameters for which the next arguments are None or do not apply.
        weight_decay_norm: weight decay of normalisation layers (their weights and biases).
        bias_lr_factor: factor for parameters named "bias".
        weight_decay_bias: weight decay of parameters named "bias", also in normalisation layers.
        lr_factors: name of a module ("heads", "backbone.layer1") -> factor for the parameters in it; if one module is
            inside another, both factors are applied.
        lr_factor_func: parameter name ("backbone.conv1.weight") -> factor.
        overrides: last part of a parameter's name ("weight", "embedding") -> options of its group, which replace those
            of the other arguments.

    Returns:
        Groups {"params": [...], "param_names": [...], "lr": ..., "weight_decay": ...}.

    Raises:
        ValueError: there is a factor without a base_lr, a module does not exist, or no parameter requires a gradient.
    """
    lr_factors = lr_factors or {}
    if base_lr is None and (bias_lr_factor != 1.0 or lr_factors or lr_factor_func is not None):
        raise ValueError("bias_lr_factor, lr_factors and lr_factor_func multiply base_lr: give base_lr too")
    _check_modules(model, lr_factors)
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, param, owner in _trainable(model):
        last = name.split(".")[-1]
        options: dict[str, Any] = {}
        if base_lr is not None:
            options["lr"] = (
                base_lr
                * (lr_factor_func(name) if lr_factor_func is not None else 1.0)
                * math.prod(factor for module, factor in lr_factors.items() if name.startswith(f"{module}."))
                * (bias_lr_factor if last == "bias" else 1.0)
            )
        decay = weight_decay
        if isinstance(owner, _NORMS) and weight_decay_norm is not None:
            decay = weight_decay_norm
        if last == "bias" and weight_decay_bias is not None:
            decay = weight_decay_bias
        if decay is not None:
            options["weight_decay"] = decay
        options.update((overrides or {}).get(last, {}))
        group = groups.setdefault(tuple(sorted(options.items())), {"params": [], "param_names": [], **options})
        group["params"].append(param)
        group["param_names"].append(name)
    if not groups:
        raise ValueError(f"{type(model).__name__} has no parameter that requires a gradient")
    return list(groups.values())


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, nn.Module]]:
    """Yield (name, parameter, its module) in the model's order, each parameter once."""
    seen: set[nn.Parameter] = set()
    for prefix, module in model.named_modules():
        for last, param in module.named_parameters(recurse=False):
            if param.requires_grad and param not in seen:
                seen.add(param)
                yield f"{prefix}.{last}" if prefix else last, param, module


def _check_modules(model: nn.Module, names: Iterable[str]) -> None:
    modules = [name for name, _ in model.named_modules() if name]
    for name in names:
        if name not in modules:
            raise ValueError(f"SOLVER.LR_FACTORS: {unknown(f'module of {type(model).__name__}', name, modules)}")
