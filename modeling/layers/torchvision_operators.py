"""torchvision's compiled operators, where they import and run."""

import functools
import importlib
import logging
import os
from types import ModuleType

import torch

logger = logging.getLogger(__name__)

VARIABLE = "STEPLOOP_OPERATORS"
"""Environment variable: "torch" uses the operators in plain PyTorch, "torchvision" insists on the compiled ones."""


@functools.cache
def torchvision_operators() -> ModuleType | None:
    """Return ``torchvision.ops``, or None where the operators in plain PyTorch are to be used.

    Both give the same results. The choice is made at the first call and logged.

    Raises:
        ValueError: STEPLOOP_OPERATORS is neither "torch" nor "torchvision".
        RuntimeError: STEPLOOP_OPERATORS is "torchvision", which does not run here.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "torch", "torchvision"):
        raise ValueError(f'{VARIABLE} is "torch" or "torchvision" (or not set); it is {wanted!r}')
    operators, problem = (None, f"{VARIABLE}=torch") if wanted == "torch" else _import()
    if wanted == "torchvision" and operators is None:
        raise RuntimeError(f"{VARIABLE}=torchvision, but torchvision's operators do not run here: {problem}")
    if operators is not None:
        logger.info("NMS and RoIAlign: torchvision's compiled operators")
    else:
        logger.info("NMS and RoIAlign: plain PyTorch (%s)", problem)
    return operators


def _import() -> tuple[ModuleType | None, str]:
    try:
        operators = importlib.import_module("torchvision.ops")
        operators.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        # Beside another PyTorch the import itself raises RuntimeError: operator torchvision::nms does not exist.
        return None, f"torchvision: {type(err).__name__}: {err}".splitlines()[0]
    return operators, ""
