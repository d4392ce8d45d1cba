"""Finds and moves the tensors of a batch, in any containers."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch


def move_batch(batch: Any, device: torch.device) -> Any:
    """Return `batch` on a device; copies from pinned memory are asynchronous.

    Mappings, lists, tuples, named tuples and dataclasses are traversed and copied. If an object has a method `to`,
    ``to(device, non_blocking=True)`` is called. Other objects are used unchanged.
    """
    if callable(getattr(batch, "to", None)):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return _with_values(batch, {key: move_batch(value, device) for key, value in batch.items()})
    if isinstance(batch, list | tuple):
        parts = [move_batch(value, device) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        moved = copy.copy(batch)
        for field in dataclasses.fields(batch):
            # Not replace(), which rejects fields that are not in __init__; not setattr, which a frozen class rejects.
            object.__setattr__(moved, field.name, move_batch(getattr(batch, field.name), device))
        return moved
    return batch


def tensors_of(batch: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors that `move_batch` moves, also the attributes of objects that have a `to`."""
    yield from _tensors_of(batch, set())


def _tensors_of(value: Any, seen: set[int]) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
        return
    if id(value) in seen:  # objects may refer to each other
        return
    seen.add(id(value))
    parts: list[Any] = []
    if isinstance(value, Mapping):
        parts += value.values()
    if isinstance(value, list | tuple):
        parts += value
    is_dataclass = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if is_dataclass:
        parts += (getattr(value, field.name) for field in dataclasses.fields(value))
    elif callable(getattr(value, "to", None)):
        parts += getattr(value, "__dict__", {}).values()
    for part in parts:
        yield from _tensors_of(part, seen)


def _with_values(batch: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    if type(batch) is dict or not isinstance(batch, MutableMapping):
        return values
    moved = copy.copy(batch)  # keeps the type, its attributes and its default_factory
    for key, value in values.items():
        moved[key] = value
    return moved
