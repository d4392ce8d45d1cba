"""One model in several processes."""

import inspect
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from steploop.config import CfgNode
from steploop.config.device import device_of

from . import comm

# The argument was renamed in torch 2.13; what it says has not changed.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


def create_ddp_model(
    model: nn.Module,
    *,
    fp16_compression: bool = False,
    compression: str = "",
    broadcast_buffers: bool = True,
    **kwargs: Any,
) -> nn.Module:
    """Wrap a model so that its gradients are averaged over processes; with one process, return it as it is.

    Args:
        model: on its device.
        fp16_compression: the same as compression="fp16".
        compression: how gradients travel: "" as they are, "fp16" or "bf16".
        broadcast_buffers: give every process the buffers of rank 0 before each forward pass.
        kwargs: passed to DistributedDataParallel.

    Raises:
        ValueError: an unknown compression, or one that the backend lacks.
    """
    if compression not in ("", "fp16", "bf16"):
        raise ValueError(
            f'gradients travel as they are (""), as "fp16" or as "bf16"; got DDP.COMPRESSION {compression!r}'
        )
    if comm.get_world_size() == 1:
        return model
    if compression == "bf16" and dist.get_backend() == "gloo":
        raise ValueError('DDP.COMPRESSION "bf16" needs GPUs (NCCL); gloo on CPUs takes "fp16"')
    kwargs[_SYNC_BUFFERS] = broadcast_buffers
    if device_of(model).type == "cuda":
        kwargs.setdefault("device_ids", [torch.cuda.current_device()])
    ddp = DistributedDataParallel(model, **kwargs)
    compression = "fp16" if fp16_compression else compression
    if compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        ddp.register_comm_hook(state=None, hook=getattr(default_hooks, f"{compression}_compress_hook"))
    return ddp


def ddp_options(cfg: CfgNode) -> dict[str, Any]:
    """Return the arguments of `create_ddp_model` that the config's DDP part describes.

    Where layers are frozen at first (SOLVER.FREEZE_ITERS), DDP looks for unused parameters: it would wait for their
    gradients. With DETERMINISTIC, it looks for unused parameters, and so does not regroup its buckets after the first
    backward pass: a resumed run then adds gradients of 3 or more processes in the same order.
    """
    options = cfg.DDP
    is_static = options.STATIC_GRAPH
    freezes = bool(cfg.MODEL.FREEZE_LAYERS) and cfg.SOLVER.FREEZE_ITERS > 0
    return {
        "find_unused_parameters": options.FIND_UNUSED_PARAMETERS or freezes or (cfg.DETERMINISTIC and not is_static),
        "broadcast_buffers": options.BROADCAST_BUFFERS,
        "static_graph": options.STATIC_GRAPH,
        "compression": options.COMPRESSION,
    }


def synchronize_buffers(model: nn.Module) -> None:
    """Give every process the buffers of rank 0, so that all of them evaluate the model that is saved.

    Each process collects statistics of its own batches while it trains.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
