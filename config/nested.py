"""Walks through nested data: mappings by dotted name, and the tensors in any containers."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch


def leaves(tree: Mapping[str, Any], separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of all values that are not mappings; the name is the joined path of keys.

    ``leaves({"SOLVER": {"STEPS": (10,)}})`` yields ``("SOLVER.STEPS", (10,))``. An empty mapping has no leaves.
    """
    for name, value in _walk(tree, separator):
        if not isinstance(value, Mapping):
            yield name, value


def dotted_names(tree: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of all values and all mappings in `tree`."""
    return [name for name, _ in _walk(tree, ".")]


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """Return a copy of `tree` with each tensor replaced by ``function(tensor)``.

    Dicts, lists and tuples (also named tuples) are traversed and copied; other objects are used unchanged. An
    OrderedDict keeps its attributes, such as the `_metadata` of a state_dict.
    """
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, OrderedDict):
        result = OrderedDict((key, map_tensors(function, value)) for key, value in tree.items())
        result.__dict__.update(tree.__dict__)
        return result
    if isinstance(tree, dict):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        items = [map_tensors(function, value) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def _walk(tree: Mapping[str, Any], separator: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        yield name, value
        if isinstance(value, Mapping):
            yield from _walk(value, separator, name + separator)
