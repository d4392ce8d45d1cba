"""Restores an optimizer's state, also into an optimizer that was built from a changed config."""

import inspect
import logging
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

logger = logging.getLogger(__name__)


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a state for ``optimizer.load_state_dict``: the optimizer's own options with the saved state of parameters.

    The options of the groups (learning rate, weight decay, betas, ...) are those of the new optimizer, so that a
    changed config takes effect. The state of a parameter (momentum, second moments) is found by its name, or by its
    position if the file has no names. If this optimizer cannot use a saved state (another class, an option that needs
    more entries, a parameter of another shape), the parameter's state starts again, and a warning is logged.

    Args:
        optimizer: the optimizer, as built from the config.
        saved: the `state_dict()` of the earlier optimizer.

    Raises:
        ValueError: the file has no names, and the sizes of the groups differ from the saved ones.
    """
    current = optimizer.state_dict()
    ours, theirs = _names(current), _names(saved)
    if theirs is None or ours is None:
        sizes = [[len(group["params"]) for group in state["param_groups"]] for state in (saved, current)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"the saved optimizer has groups of {sizes[0]} parameters and no names, this one has {sizes[1]}: "
                "train on with the same model and options, or start a new run from its weights"
            )
        return {"state": _usable(optimizer, saved["state"]), "param_groups": current["param_groups"]}
    lost = sorted(theirs.keys() - ours.keys())
    new = sorted(ours.keys() - theirs.keys())
    if lost or new:
        logger.warning("Saved states of the optimizer without a parameter: %s; states that start again: %s", lost, new)
    state = {index: saved["state"][theirs[name]] for name, index in ours.items() if theirs.get(name) in saved["state"]}
    return {"state": _usable(optimizer, state), "param_groups": current["param_groups"]}


def _usable(optimizer: Optimizer, state: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the states that the optimizer can use: they have all entries that a first step creates, in its shapes."""
    usable: dict[int, dict[str, Any]] = {}
    needed: set[str] = set()
    index = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if index in state:
                example = _example_state(optimizer, group, parameter)
                if example is None or _fits(state[index], example, parameter):
                    usable[index] = state[index]
                else:
                    needed |= example.keys()
            index += 1
    if len(usable) < len(state):
        saved = sorted({name for number, entry in state.items() if number not in usable for name in entry})
        logger.warning(
            "The optimizer's state starts again for %d of %d parameters: the checkpoint has %s, %s (SOLVER.OPT, "
            "SOLVER.OPT_ARGS) needs %s in the shape of the parameter",
            len(state) - len(usable), len(state), ", ".join(saved), type(optimizer).__name__,
            ", ".join(sorted(needed)) or "nothing",
        )  # fmt: skip
    return usable


def _fits(saved: dict[str, Any], example: dict[str, Any], parameter: Tensor) -> bool:
    if not example.keys() <= saved.keys() or (saved and not example):
        return False
    full = [name for name, value in example.items() if isinstance(value, Tensor) and value.shape == _shape(parameter)]
    return all(isinstance(saved[name], Tensor) and saved[name].shape == parameter.shape for name in full)


def _shape(parameter: Tensor) -> tuple[int, ...]:
    """Return a small shape with as many dimensions as the parameter.

    All sides differ, so that an entry with the shape of a part of the parameter is not mistaken for a full one.
    """
    return tuple(range(2, 2 + parameter.dim()))


def _example_state(optimizer: Optimizer, group: dict[str, Any], parameter: Tensor) -> dict[str, Any] | None:
    """Return the state after one step of a small parameter with as many dimensions; None if that fails.

    The entries of a state depend on the class and its options, so they are found by running the class.
    """
    example = torch.zeros(_shape(parameter), dtype=parameter.dtype, requires_grad=True)
    example.grad = torch.zeros_like(example)
    accepted = inspect.signature(type(optimizer)).parameters
    options = {name: value for name, value in group.items() if name in accepted and name != "params"}
    options |= {name: False for name in ("foreach", "fused", "capturable") if name in accepted}  # it is on the CPU
    try:
        twin = type(optimizer)([example], **options)
        twin.step()
    except Exception:  # a user's own optimizer may need anything, and may raise anything
        logger.debug("No example of the state of %s can be made", type(optimizer).__name__, exc_info=True)
        return None
    return dict(twin.state[example])


def _names(state: dict[str, Any]) -> dict[str, int] | None:
    """Return {parameter's name: its index in the state}, or None where a group has no names."""
    names: dict[str, int] = {}
    for group in state["param_groups"]:
        if "param_names" not in group:
            return None
        names.update(zip(group["param_names"], group["params"]))
    return names
