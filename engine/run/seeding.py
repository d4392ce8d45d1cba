"""Random numbers as a function of (seed, rank, step): there is no state to save or restore."""

import functools
import os
import random
import secrets

import numpy as np
import torch

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_BLOCK = 256  # steps whose seeds are computed together


def seed_all_rng(seed: int | None = None) -> int:
    """Seed the global generators of Python, NumPy and PyTorch (all devices).

    Args:
        seed: a number >= 0; None draws one from the system's entropy.

    Returns:
        The seed that was used.

    Raises:
        ValueError: the seed is negative.
    """
    if seed is None:
        seed = secrets.randbits(31)
    if seed < 0:
        raise ValueError(f"a seed is a number >= 0, or None to draw one; got {seed}")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed & _MASK)
    return seed


def _mix(x: int) -> int:
    """Scramble 64 bits: the finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014), a bijection."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def step_seed(seed: int, rank: int, step: int) -> int:
    """Return the 64-bit seed of one step on one rank.

    For a given (seed, rank), different steps never share a seed.
    """
    return _block_of_seeds(seed, rank, step // _BLOCK)[step % _BLOCK]


@functools.lru_cache(maxsize=64)
def _block_of_seeds(seed: int, rank: int, block: int) -> list[int]:
    """Return the seeds of `_BLOCK` steps: computed one by one, they would cost as much as all hooks together."""
    base = _mix((_mix((seed + _GOLDEN) & _MASK) + rank * _GOLDEN) & _MASK)
    return [_mix((base + step * _GOLDEN) & _MASK) for step in range(block * _BLOCK, (block + 1) * _BLOCK)]


def seed_step(seed: int, rank: int, step: int, device: torch.device | None = None) -> None:
    """Seed the default CPU generator and that of this process's GPU for one step.

    `torch.manual_seed` would visit every device and cost a hundred times as much. Python's and NumPy's global
    generators are not changed: in a step, no code of the engine uses them.

    Args:
        seed: the seed of the run.
        rank: the rank of this process.
        step: the current step.
        device: the device whose generator is seeded in addition to the CPU's; by default the current GPU, if CUDA is
            initialised.
    """
    value = step_seed(seed, rank, step)
    torch.default_generator.manual_seed(value)
    if device is None:
        index = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    elif device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
    else:
        index = None
    if index is not None:
        torch.cuda.default_generators[index].manual_seed(value)


def enable_determinism() -> None:
    """Make PyTorch use deterministic algorithms only; an operation without one raises an error with its name.

    Call it before the first CUDA operation: cuBLAS reads CUBLAS_WORKSPACE_CONFIG when it starts. A value that is
    already set is not changed.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
