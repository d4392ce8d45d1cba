"""A table of the software and hardware of a run, for its log."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..distributed.launch import available_cores
from .machine import git

_ENGINE = Path(__file__).resolve().parents[1]


def collect_env_info() -> str:
    """Return a table of the versions, devices and settings that affect the results and the speed of a run.

    It never raises: the table says which values could not be found.
    """
    from tabulate import tabulate

    return tabulate([*_software(), *_hardware(), *_variables()])


def _software() -> Iterator[tuple[str, str]]:
    yield "system", platform.platform()
    yield "Python", sys.version.replace("\n", " ")
    yield "steploop", f"{_version('steploop')}, {_commit()}, in {_ENGINE.parent}"
    yield "PyTorch", f"{torch.__version__} in {Path(torch.__file__).parent}"
    yield "NumPy", np.__version__
    yield "fvcore", _version("fvcore")
    yield "CUDA of PyTorch", torch.version.cuda or "none"
    if torch.version.cuda and torch.backends.cudnn.is_available():
        yield "cuDNN", str(torch.backends.cudnn.version())


def _hardware() -> Iterator[tuple[str, str]]:
    yield "CPU cores", f"{available_cores()} of {os.cpu_count()}"
    yield "CPU threads", f"{torch.get_num_threads()} in an operation, {torch.get_num_interop_threads()} operations"
    yield "CPU capability", torch.backends.cpu.get_cpu_capability()
    try:
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    except RuntimeError as error:  # such as a driver of another version: the run may still use the CPU
        yield "GPUs", f"cannot be used: {error}"
        return
    yield "GPUs", "none" if not gpus else str(len(gpus))
    for index, gpu in enumerate(gpus):
        yield f"GPU {index}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, compute {gpu.major}.{gpu.minor}"


def _variables() -> Iterator[tuple[str, str]]:
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "STEPLOOP_DATASETS"):
        if name in os.environ:
            yield name, os.environ[name]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of the checkout that contains this file, with "-dirty" if files differ from it."""
    prefix = git(_ENGINE, "rev-parse", "--show-prefix")
    if prefix != f"{_ENGINE.name}/":  # no git, no checkout, or a virtual environment inside another project's checkout
        return "not a git checkout"
    commit = git(_ENGINE, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return f"commit {commit}" if commit else "a git checkout without a commit"
