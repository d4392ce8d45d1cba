"""A pass through the model beside the training, which must not notice it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from steploop.config.device import device_of

from ..distributed import comm
from ..metrics.events import EventStorage
from ..run.seeding import seed_step

# They draw random numbers, or keep statistics of what they see, in training mode; in eval mode they are functions.
_RESTLESS = (
    nn.modules.batchnorm._NormBase,
    nn.modules.dropout._DropoutNd,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RReLU,
)


@contextmanager
def side_pass(model: nn.Module, iteration: int) -> Iterator[None]:
    """Run without gradients, the training's random numbers, and its metrics.

    Random numbers follow from nothing, so that each pass draws the same ones; the training's generators (CPU and the
    model's GPU) go on afterwards where they were. What the model puts into the EventStorage is dropped.

    Args:
        model: on its device.
        iteration: of the storage that the model finds.
    """
    device = device_of(model)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad(), EventStorage(iteration):
        seed_step(0, comm.get_rank(), 0, device)
        yield


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Let a model that trains compute its losses as a function of the batch.

    Torch's normalisation and dropout layers are in eval mode meanwhile; all other modules stay as they are, so that the
    model returns losses.
    """
    restless = [module for module in model.modules() if isinstance(module, _RESTLESS) and module.training]
    try:
        for module in restless:
            module.training = False
        yield
    finally:
        for module in restless:
            module.training = True


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Give the model's buffers their values back afterwards, whoever changed or replaced them; costs a copy of them."""
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
