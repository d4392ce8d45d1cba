"""One model in several processes."""

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from . import comm

# The argument was renamed in torch 2.13; what it says has not changed.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


def create_ddp_model(
    model: nn.Module, *, fp16_compression: bool = False, broadcast_buffers: bool = True, **kwargs: Any
) -> nn.Module:
    """Wrap a model so that its gradients are averaged over processes; with one process, return it as it is.

    Args:
        model: on its device.
        fp16_compression: send gradients as float16.
        broadcast_buffers: give every process the buffers of rank 0 before each forward pass.
        kwargs: passed to DistributedDataParallel.
    """
    if comm.get_world_size() == 1:
        return model
    kwargs[_SYNC_BUFFERS] = broadcast_buffers
    if next(model.parameters()).is_cuda:
        kwargs.setdefault("device_ids", [torch.cuda.current_device()])
    ddp = DistributedDataParallel(model, **kwargs)
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        ddp.register_comm_hook(state=None, hook=default_hooks.fp16_compress_hook)
    return ddp


def synchronize_buffers(model: nn.Module) -> None:
    """Give every process the buffers of rank 0, so that all of them evaluate the model that is saved.

    Each process collects statistics of its own batches while it trains.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
