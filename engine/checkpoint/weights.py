"""Loads a state dict into a model, and shows what did not fit as a table grouped by module."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from steploop.config.nested import map_tensors

logger = logging.getLogger(__name__)
# Left in the keys by DataParallel and DistributedDataParallel, and by torch.compile.
_PREFIXES = ("module.", "_orig_mod.")
_MAX_ROWS = 50


class IncompatibleKeys(NamedTuple):
    """What did not fit: names that only the model has, names that only the file has, and
    (name, shape in the file, shape in the model) where both have it with different shapes.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]
    incorrect_shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]]


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside DistributedDataParallel, DataParallel and torch.compile."""
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def load_weights(model: nn.Module, state: dict[str, Any]) -> IncompatibleKeys:
    """Copy into `model` all that fits by name and shape, and log the rest as one table.

    Args:
        model: may be wrapped; it is changed in place.
        state: name -> tensor; a common prefix "module." or "_orig_mod." of all names is dropped.

    Raises:
        ValueError: no name fits at all, something that should be a tensor is none, or the model cannot take one.
    """
    model = unwrap(model)
    expected = model.state_dict()
    state = _strip_prefixes(state)
    # Copied like this because OrderedDict.copy() loses torch's _metadata.
    fitting = map_tensors(lambda tensor: tensor, state)
    incorrect = []
    for key in state.keys() & expected.keys():
        if not isinstance(expected[key], torch.Tensor):
            continue
        if not isinstance(state[key], torch.Tensor):
            raise ValueError(f"{key} should be a tensor in the file, and is a {type(state[key]).__name__}")
        if nn.parameter.is_lazy(expected[key]):
            continue
        shapes = tuple(state[key].shape), tuple(expected[key].shape)
        if shapes[0] != shapes[1]:
            incorrect.append((key, *shapes))
            del fitting[key]
    if expected and not state.keys() & expected.keys():
        raise ValueError(
            f"not one name of the file is in the model: the file has {_some(state)}, the model {_some(expected)}. "
            "Is it a checkpoint of another architecture, or does a prefix differ?"
        )
    try:
        result = model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:  # such as a type that cannot be copied into that of the model
        raise ValueError(f"the model cannot take the weights in the file: {error}") from error
    wrong = {key for key, *_ in incorrect}
    incompatible = IncompatibleKeys(
        missing_keys=_without_aliases(model, [key for key in result.missing_keys if key not in wrong]),
        unexpected_keys=list(result.unexpected_keys),
        incorrect_shapes=sorted(incorrect),
    )
    if any(incompatible):
        logger.warning("The weights in the file and the model differ:\n%s", incompatible_table(incompatible))
    return incompatible


def incompatible_table(incompatible: IncompatibleKeys) -> str:
    """Return what did not fit as a table; names are grouped like `layer1.0.{bn1,bn2}.{bias,weight}`."""
    from tabulate import tabulate

    rows = [["not in the file", group, "", "kept as it was"] for group in group_keys(incompatible.missing_keys)]
    rows += [["not in the model", group, "ignored", ""] for group in group_keys(incompatible.unexpected_keys)]
    by_shapes = defaultdict(list)
    for key, in_file, in_model in incompatible.incorrect_shapes:
        by_shapes[in_file, in_model].append(key)
    for (in_file, in_model), keys in by_shapes.items():
        rows += [["another shape", group, str(in_file), f"{in_model}, kept as it was"] for group in group_keys(keys)]
    if len(rows) > _MAX_ROWS:
        rows[_MAX_ROWS:] = [["...", f"and {len(rows) - _MAX_ROWS} more rows", "", ""]]
    return tabulate(rows, headers=["", "names", "in the file", "in the model"], tablefmt="simple")


def group_keys(keys: Iterable[str]) -> list[str]:
    """Group dotted names: modules that miss the same things share one line, `layer1.0.{bn1,bn2}.{bias,weight}`."""
    tree: dict = {}
    for key in keys:
        node = tree
        for part in key.split("."):
            node = node.setdefault(part, {})
    return list(_patterns(tree))


def _patterns(tree: dict) -> tuple[str, ...]:
    groups = defaultdict(list)
    for name, subtree in tree.items():
        groups[_patterns(subtree)].append(name)
    result = []
    for patterns, names in groups.items():
        names.sort(key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
        head = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        result += [f"{head}.{pattern}" for pattern in patterns] or [head]
    return tuple(result)


def _strip_prefixes(state: dict[str, Any]) -> dict[str, Any]:
    odd = [key for key in state if not isinstance(key, str)]
    if odd:
        raise ValueError(f"the names of weights must be str, got {odd[:3]}")
    stripped = state
    for prefix in _PREFIXES * 2:
        if stripped and all(key.startswith(prefix) for key in stripped):
            metadata = getattr(stripped, "_metadata", None)
            stripped = type(stripped)((key[len(prefix) :], value) for key, value in stripped.items())
            if metadata is not None:
                # Its "" is the wrapper itself; below it, names lack the prefix's dot.
                own = {key[len(prefix) :]: value for key, value in metadata.items() if key.startswith(prefix)}
                own[""] = metadata.get(prefix.rstrip("."), {})
                stripped._metadata = own  # type: ignore[attr-defined]
    return stripped


def _without_aliases(model: nn.Module, missing: list[str]) -> list[str]:
    """Drop names of tied weights that came under another of their names."""
    names = defaultdict(set)
    for key, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
        names[id(tensor)].add(key)
    absent = set(missing)
    aliases = set().union(*(group for group in names.values() if group - absent))
    return [key for key in missing if key not in aliases]


def _some(state: dict[str, Any]) -> str:
    return ", ".join(list(state)[:3]) + (", ..." if len(state) > 3 else "")
