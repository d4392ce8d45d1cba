"""Keeps what must be accurate out of autocast."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make `function` compute in float32 or wider, also within an autocast region.

    Half-precision tensors among the arguments are widened, and autocast is off during the call: without that, it would
    narrow the operands of a matrix product again. Outside autocast and for float32 or float64 nothing changes.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(value.device.type for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            widened: Any = {name: _widen(value) for name, value in kwargs.items()}
            return function(*map(_widen, args), **widened)

    return wrapped


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
