"""One model in several processes."""

from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from . import comm


def create_ddp_model(model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any) -> nn.Module:
    """Wrap a model so that its gradients are averaged over processes; with one process, return it as it is.

    Args:
        model: on its device.
        fp16_compression: send gradients as float16.
        kwargs: passed to DistributedDataParallel.
    """
    if comm.get_world_size() == 1:
        return model
    if next(model.parameters()).is_cuda:
        kwargs.setdefault("device_ids", [comm.get_local_rank()])
    ddp = DistributedDataParallel(model, **kwargs)
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        ddp.register_comm_hook(state=None, hook=default_hooks.fp16_compress_hook)
    return ddp
