"""Losses that compare samples, over the batches of all processes."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from steploop.engine import comm

from .heads import HeadOutputs


def across_ranks(loss: Callable[[HeadOutputs, Tensor], Tensor]) -> Callable[[HeadOutputs, Tensor], Tensor]:
    """Return a loss that sees the features and targets of all processes, in the order of ranks.

    Every process computes the same value. Gathering adds up the gradients that all of them hand back, and averaging
    over processes divides by their number: together the weights move as if one process had the whole batch.
    """

    def gathered(outputs: HeadOutputs, targets: Tensor) -> Tensor:
        if comm.get_world_size() == 1:
            return loss(outputs, targets)
        features: Tensor = _Gather.apply(outputs.features)
        return loss(outputs._replace(features=features), gather(targets))

    return gathered


def gather(part: Tensor) -> Tensor:
    """Return the tensors (B, ...) of all ranks one after the other, without gradient."""
    if comm.get_world_size() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(comm.get_world_size())]
    dist.all_gather(parts, part.contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    """Concatenates the tensors (B, D) of all ranks; its gradient is the sum of what all ranks hand back."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        return gather(part)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(comm.get_world_size())[comm.get_rank()]
