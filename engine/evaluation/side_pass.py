"""Forward passes between the steps of a training that do not change the training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from steploop.config.device import device_of

from ..distributed import comm
from ..metrics.events import EventStorage
from ..run.seeding import seed_step

# Layers that are random (dropout) or update statistics (normalisation) in training mode.
_NONDETERMINISTIC_LAYERS = (
    nn.modules.batchnorm._NormBase,
    nn.modules.dropout._DropoutNd,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RReLU,
)


@contextmanager
def side_pass(model: nn.Module, iteration: int) -> Iterator[None]:
    """Context manager for passes without gradients that do not use the training's random numbers and metrics.

    The generators (CPU and the model's GPU) are seeded with a constant, so every pass draws the same numbers; on exit,
    their previous states are restored. Metrics that the model puts into the EventStorage are discarded.

    Args:
        model: on its device.
        iteration: the iteration of the temporary EventStorage.
    """
    device = device_of(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad(), EventStorage(iteration):
        seed_step(0, comm.get_rank(), 0, device)
        yield


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Context manager in which a model in training mode computes its losses as a function of the batch alone.

    Torch's normalisation and dropout layers are set to eval mode; all other modules stay in training mode, so that the
    model returns losses.
    """
    layers = [module for module in model.modules() if isinstance(module, _NONDETERMINISTIC_LAYERS) and module.training]
    try:
        for module in layers:
            module.training = False
        yield
    finally:
        for module in layers:
            module.training = True


@contextmanager
def restored_buffers(model: nn.Module) -> Iterator[None]:
    """Context manager that restores all buffers of the model on exit, even if they were replaced. Copies them once."""
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                if buffer is not None and value is not None:
                    buffer.copy_(value)
                module._buffers[name] = buffer
