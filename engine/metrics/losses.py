"""What a model returns in training: losses, and metrics beside them."""

import functools
import math
import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from .events import VALIDATION, EventStorage

Losses = Mapping[str, Tensor]

_NONE: Losses = MappingProxyType({})


class NonFiniteLoss(FloatingPointError):
    """A loss was NaN or infinite.

    Attributes:
        iteration: the first step of which a loss was not finite.
        losses: {name: value} of that step.
    """

    def __init__(self, iteration: int, losses: dict[str, float]) -> None:
        super().__init__(f"Loss became infinite or NaN at iteration={iteration}: {losses}")
        self.iteration = iteration
        self.losses = losses


def split_outputs(outputs: Any) -> tuple[Losses, Losses]:
    """Return what a model in training mode returned as (losses, metrics).

    Raises:
        TypeError: it is neither a tensor, nor a dict, nor a pair of dicts.
        ValueError: it holds no loss.
    """
    if type(outputs) is dict and outputs:  # the usual one, at a tenth of the price
        return outputs, _NONE
    losses, metrics = outputs if isinstance(outputs, tuple) and len(outputs) == 2 else (outputs, {})
    if isinstance(losses, Tensor):
        losses = {"total_loss": losses}
    if not isinstance(losses, Mapping) or not isinstance(metrics, Mapping):
        raise TypeError(
            "in training mode a model returns a loss tensor, a dict of them, or a pair of dicts (losses, metrics); "
            f"got {type(outputs).__name__}"
        )
    if not losses:
        raise ValueError("the model returned no loss: the dict of losses is empty")
    return losses, metrics


def total(losses: Losses) -> Tensor:
    """Return the sum of the losses."""
    return functools.reduce(operator.add, losses.values())


def mean_outputs(parts: list[tuple[Losses, Losses]]) -> tuple[Losses, Losses]:
    """Average each loss and each metric over the micro-batches that have it."""

    def mean(dicts: list[Losses]) -> Losses:
        names = dict.fromkeys(name for each in dicts for name in each)
        columns = {name: [torch.as_tensor(each[name]).detach() for each in dicts if name in each] for name in names}
        return {name: torch.stack(column).float().mean() for name, column in columns.items()}

    return mean([losses for losses, _ in parts]), mean([metrics for _, metrics in parts])


def _is_trained_on(name: str) -> bool:
    return name.endswith("total_loss") and not name.startswith(VALIDATION)


def check_finite(storage: EventStorage, first_iter: int) -> None:
    """Raise if a total loss, or a scalar of `storage.watched`, is not finite at or after `first_iter`.

    Steps recorded as skipped do not count.

    Raises:
        NonFiniteLoss: with the first such step, and what its loss is made of.
    """
    losses = {
        name: history
        for name, history in storage.histories().items()
        if _is_trained_on(name) or name in storage.watched
    }
    bad = {i for history in losses.values() for value, i in history.since(first_iter) if not math.isfinite(value)}
    if not bad:
        return
    recorded = storage.since(first_iter)
    bad -= {iteration for value, iteration in recorded.get("skipped_step", ()) if value}
    if bad:
        first = min(bad)
        parts = {
            name: value
            for name, points in recorded.items()
            if name in storage.headlines or name in storage.watched
            for value, iteration in points
            if iteration == first
        }
        raise NonFiniteLoss(first, parts)
