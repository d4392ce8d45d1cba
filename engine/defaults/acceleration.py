"""Settings that make a model faster: mixed precision, compiled models, channels last, TensorFloat-32."""

import importlib.util
import logging
import os
import shutil
import sys

import torch
from torch import nn

from steploop.config import CfgNode
from steploop.config.device import device_of

logger = logging.getLogger(__name__)

FLOAT32_PRECISIONS = ("highest", "high", "medium")
AUTOCAST_PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def autocast_precision(cfg: CfgNode) -> torch.dtype | None:
    """Return the dtype for autocast in the forward pass (SOLVER.AMP); None if AMP is off.

    Raises:
        ValueError: SOLVER.AMP.PRECISION is neither "float16" nor "bfloat16".
    """
    name = cfg.SOLVER.AMP.PRECISION
    if name not in AUTOCAST_PRECISIONS:
        raise ValueError(f"SOLVER.AMP.PRECISION is one of {', '.join(AUTOCAST_PRECISIONS)}; got {name!r}")
    if not cfg.SOLVER.AMP.ENABLED:
        return None
    if name == "float16" and str(cfg.MODEL.DEVICE).startswith("cpu"):
        logger.warning(
            "SOLVER.AMP.PRECISION float16 is many times slower on a CPU than float32: use bfloat16 or no AMP"
        )
    return AUTOCAST_PRECISIONS[name]


def set_float32_precision(name: str) -> None:
    """Set the precision of float32 matrix products and convolutions on CUDA, for this process.

    "highest" computes in float32. "high" lets matrix products use TensorFloat-32 (10 bits of mantissa in place of 23),
    "medium" bfloat16 (7 bits) where a kernel exists; convolutions use TensorFloat-32 with both. torch's own default,
    which "" keeps, is float32 for matrices and TensorFloat-32 for convolutions.

    Args:
        name: one of the three, or "" to change nothing.

    Raises:
        ValueError: the name is unknown.
    """
    if not name:
        return
    if name not in FLOAT32_PRECISIONS:
        raise ValueError(f'FLOAT32_PRECISION is "" or one of {", ".join(FLOAT32_PRECISIONS)}; got {name!r}')
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = name != "highest"


_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def use_channels_last(model: nn.Module) -> None:
    """Store the weights of 2D and 3D convolutions with the channels last, in place.

    A convolution with such weights computes in that memory format and returns it, whatever the format of its input, so
    images need no conversion. Names, shapes and values stay the same; sums may be added in another order.
    """
    for parameter in model.parameters():
        if parameter.ndim in _CHANNELS_LAST:
            parameter.data = parameter.data.contiguous(memory_format=_CHANNELS_LAST[parameter.ndim])


def compile_model(model: nn.Module, backend: str = "") -> None:
    """Compile the model's forward pass with torch.compile, in place: the names of the parameters do not change.

    torch compiles at the first batch, once for training and once for evaluation, and again for each new shape: seconds
    to minutes.

    Args:
        model: already wrapped in DistributedDataParallel, because torch splits the graph where gradients are reduced.
        backend: a name of torch.compiler.list_backends(()); "" is torch's default, Inductor, which writes C++ on the
            CPU and Triton on CUDA.

    Raises:
        ValueError: the backend does not exist.
        RuntimeError: Inductor's compiler is missing on this machine.
    """
    backend = backend or "inductor"
    if backend not in torch.compiler.list_backends(()):
        usual = ", ".join(torch.compiler.list_backends())
        raise ValueError(
            f'SOLVER.COMPILE_BACKEND is "" or one of {usual}, or to find errors eager or aot_eager; got {backend!r}'
        )
    if backend == "inductor":
        _check_compilers(device_of(model).type)
    model.compile(backend=backend)


def _check_compilers(device: str) -> None:
    """Raise if Inductor's compiler is missing: torch reports that only at the first step, with a long traceback."""
    remedy = "Install it, set SOLVER.COMPILE_BACKEND to one that needs none (aot_eager), or SOLVER.COMPILE to False"
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        raise RuntimeError(f"SOLVER.COMPILE needs the package triton on CUDA, and it is not installed. {remedy}.")
    usual = ["gcc", "clang"] if device == "cuda" else ["clang++" if sys.platform == "darwin" else "g++"]
    variable = "CC" if device == "cuda" else "CXX"
    compilers = [os.environ[variable]] if os.environ.get(variable) else usual
    if not any(shutil.which(compiler) for compiler in compilers):
        raise RuntimeError(
            f"SOLVER.COMPILE needs a compiler, and {' or '.join(compilers)} (the variable {variable} names another) "
            f"is not on the PATH. {remedy}."
        )
