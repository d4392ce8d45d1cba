"""An optimizer's state, given to an optimizer that a changed config may have built."""

import logging
from typing import Any

from torch.optim import Optimizer

logger = logging.getLogger(__name__)


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a state for ``optimizer.load_state_dict``: its own options, with the saved state of each parameter.

    The options of the groups (learning rate, weight decay, betas, ...) stay those that the optimizer was built with,
    so that a changed config takes effect. What was learned for a parameter (momentum, second moments) follows its
    name; without names in the file, its place.

    Args:
        optimizer: as it was built from the config.
        saved: what the earlier optimizer's `state_dict` returned.

    Raises:
        ValueError: without names, the groups are of other sizes than the saved ones.
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
        return {"state": saved["state"], "param_groups": current["param_groups"]}
    lost = sorted(theirs.keys() - ours.keys())
    new = sorted(ours.keys() - theirs.keys())
    if lost or new:
        logger.warning("The optimizer's state has no place for %s, and none for %s, which start anew", lost, new)
    state = {index: saved["state"][theirs[name]] for name, index in ours.items() if theirs.get(name) in saved["state"]}
    return {"state": state, "param_groups": current["param_groups"]}


def _names(state: dict[str, Any]) -> dict[str, int] | None:
    """Return {parameter's name: its index in the state}, or None where a group has no names."""
    names: dict[str, int] = {}
    for group in state["param_groups"]:
        if "param_names" not in group:
            return None
        names.update(zip(group["param_names"], group["params"]))
    return names
