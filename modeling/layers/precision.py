"""Runs functions that need accuracy without autocast."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make `function` compute in float32 or float64, also in an autocast region.

    Half-precision arguments are converted to float32, and autocast is disabled during the call: it would convert the
    operands of a matrix product to half precision again. Without autocast, and for float32 or float64, nothing changes.
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
