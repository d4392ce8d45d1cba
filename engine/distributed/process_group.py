"""Joining a process group, and leaving it whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from . import comm
from .fresh_store import fresh_store
from .rendezvous import LOOPBACK, Rendezvous
from .signpost import joined_store


@dataclass(frozen=True)
class Meeting:
    """What a process needs to know to join its group.

    Where the others are is said by `rendezvous`, else by `url`, else by `store_port`, of a store on this machine.

    Attributes:
        rank: in [0, world_size).
        world_size: processes of the run.
        local_size: processes on this machine.
        backend: "nccl" or "gloo".
        timeout: of each collective operation.
        local_rank: in [0, local_size).
        gpu: which of the GPUs that this process sees is its own.
    """

    rank: int
    world_size: int
    local_size: int
    backend: str
    timeout: timedelta
    local_rank: int = 0
    gpu: int = 0
    rendezvous: Rendezvous | None = None
    url: str = ""
    store_port: int = 0

    @property
    def place(self) -> str:
        """Where the processes meet, in words."""
        return str(self.rendezvous or self.url or f"port {self.store_port} of this machine")


@contextmanager
def process_group(meeting: Meeting) -> Iterator[None]:
    """Be in the process group for as long as the context lasts.

    With NCCL, this process's GPU is the current one from then on.
    """
    options: dict[str, Any] = {"rank": meeting.rank, "world_size": meeting.world_size, "timeout": meeting.timeout}
    if meeting.backend == "nccl":
        torch.cuda.set_device(meeting.gpu)
        options["device_id"] = torch.device("cuda", meeting.gpu)
    has_met = in_order = False
    try:
        with _met(meeting) as where:
            dist.init_process_group(meeting.backend, **where, **options)
            comm.set_local_rank(meeting.local_rank, meeting.local_size)
            comm.synchronize()
        has_met = True
        yield
        in_order = True
    except Exception as error:
        if not has_met:
            error.add_note(f"rank {meeting.rank} of {meeting.world_size} could not meet the others at {meeting.place}")
        raise
    finally:
        if meeting.backend == "nccl" and not in_order and dist.is_initialized():
            # An orderly end would wait for collectives that the other ranks never come to.
            dist.distributed_c10d._abort_process_group()
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def _met(meeting: Meeting) -> Iterator[dict[str, Any]]:
    """Give the arguments of init_process_group that say where; leave the context when all have come."""
    if meeting.rendezvous is not None:
        with joined_store(meeting.rendezvous, meeting.rank, meeting.timeout) as store:
            yield {"store": store}
    elif meeting.url == "env://":
        store, _, _ = next(dist.rendezvous(meeting.url, meeting.rank, meeting.world_size, timeout=meeting.timeout))
        yield {"store": fresh_store(store, meeting.rank, meeting.world_size, meeting.timeout)}
    elif meeting.url:
        yield {"init_method": meeting.url}
    else:
        port, timeout = meeting.store_port, meeting.timeout
        yield {"store": dist.TCPStore(LOOPBACK, port, is_master=False, wait_for_workers=False, timeout=timeout)}
