"""The device of a run, known before any process is launched, and the device of a model."""

import torch
from torch import nn


def resolve_device(name: str, num_processes: int = 1) -> torch.device:
    """Return the device for a setting, after checking that this machine has it.

    This does not initialise CUDA, so a parent process can call it before it spawns others.

    Args:
        name: "cpu", "cuda" (each process's current GPU), "cuda:N", or "auto": CUDA if there is a GPU, else the CPU.
        num_processes: number of processes on this machine; each needs its own GPU, except if `name` is "cpu". With more
            than one, "auto" means GPUs: there is no silent fallback to the CPU.

    Raises:
        ValueError: the name is none of these, or there are too few GPUs.
    """
    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and index.isdecimal())):
        raise ValueError(f"a device is 'auto', 'cpu', 'cuda' or 'cuda:N', got {name!r}")
    if index and num_processes > 1:
        raise ValueError(f"device {name!r} is one GPU for {num_processes} processes; with 'cuda' each takes its own")
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and num_processes == 1 and num_gpus == 0):
        return torch.device("cpu")
    needed = int(index) + 1 if index else num_processes
    if num_gpus < needed:
        wanted = f"{num_processes} processes on GPUs were" if num_processes > 1 else f"device {name!r} was"
        raise ValueError(
            f"{wanted} asked for, but PyTorch finds {_count(num_gpus)} on this machine; "
            "set MODEL.DEVICE to 'cpu' to run on the CPU (with several processes too)"
        )
    return torch.device(f"cuda:{index}" if index else "cuda")


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's first parameter; the CPU for one without parameters."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _count(num_gpus: int) -> str:
    return {0: "no GPU", 1: "1 GPU"}.get(num_gpus, f"{num_gpus} GPUs")
