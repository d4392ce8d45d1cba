"""How many samples a batch and a test set have."""

from collections.abc import Mapping, Sized
from typing import Any

from torch import Tensor


def count_samples(batch: Any) -> int:
    """Return the number of samples in a batch: a tensor's length, that of a dict's first value, or a list's.

    A list or tuple of tensors of one length is taken for the parts of collated samples, such as [images, labels].

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(batch, Tensor) and batch.ndim:
        return len(batch)
    if isinstance(batch, Mapping) and batch:
        return count_samples(next(iter(batch.values())))
    if isinstance(batch, list | tuple) and batch:
        lengths = {len(part) if isinstance(part, Tensor) and part.ndim else None for part in batch}
        return len(batch) if len(lengths) > 1 else lengths.pop() or len(batch)
    raise TypeError(
        f"cannot tell how many samples a batch of type {type(batch).__name__} has: give ValidationLoss a function "
        "num_samples(batch)"
    )


def samples_of(batch: Any) -> int | None:
    """Return `count_samples`, None where it cannot tell."""
    try:
        return count_samples(batch)
    except TypeError:
        return None


def set_size(data_loader: Any) -> int | None:
    """Return the number of samples in the data set of a loader, None where it cannot be told."""
    dataset = getattr(data_loader, "dataset", None)
    return len(dataset) if isinstance(dataset, Sized) else None
