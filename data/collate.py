"""Makes a batch of samples, and rejects values of unknown types."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate


def collate(samples: Sequence[Mapping[str, Any]], ragged: Collection[str] = ()) -> dict[str, Any]:
    """Return one dict of batches from a list of dicts of samples.

    Tensors of one shape and dtype are stacked along a new first dimension, integers become an int64 tensor of shape
    (B,), floats a float32 tensor of shape (B,), strings a list.

    Args:
        samples: dicts with the same keys.
        ragged: keys whose values, of any type, stay a list of length B. Example: boxes, whose number differs between
            images. For a loader: ``functools.partial(collate, ragged=("boxes", "labels"))``.

    Raises:
        ValueError: there are no samples, they differ in their keys, or tensors of one key differ in shape or dtype.
        TypeError: `ragged` is a string, a value has another type, or one key's values differ in type; the message names
            the key.
    """
    if isinstance(ragged, str):
        raise TypeError(f"expected a tuple of keys in ragged, got the string {ragged!r}: write ragged=({ragged!r},)")
    if not samples:
        raise ValueError("expected at least one sample to make a batch of, got none")
    keys = samples[0].keys()
    for sample in samples:
        if sample.keys() != keys:
            raise ValueError(f"samples of one batch differ in their keys: {sorted(keys)} and {sorted(sample.keys())}")
    columns = {key: [sample[key] for sample in samples] for key in keys}
    return {key: values if key in ragged else _collate_values(key, values) for key, values in columns.items()}


def _collate_values(key: str, values: list[Any]) -> Any:
    if all(isinstance(value, torch.Tensor) for value in values):
        kinds = {(tuple(value.shape), str(value.dtype)) for value in values}
        if len(kinds) > 1:
            raise ValueError(
                f"tensors of {key!r} differ in shape or dtype, so they make no batch: {sorted(kinds)}; "
                f"ragged=({key!r},) keeps them in a list"
            )
        return default_collate(values)  # in a worker, it stacks into shared memory, which saves a copy of the batch
    if all(isinstance(value, int | np.integer) for value in values):
        return torch.tensor(values, dtype=torch.int64)
    if all(isinstance(value, float | np.floating) for value in values):
        return torch.tensor(values, dtype=torch.float32)
    if all(isinstance(value, str) for value in values):
        return values
    types = sorted({type(value).__name__ for value in values})
    raise TypeError(
        f"cannot make a batch of {key!r}: expected only tensors, only integers, only floats or only strings, got "
        f"{types}; convert it in the mapper, or keep it in a list by ragged=({key!r},)"
    )
