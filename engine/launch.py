"""Starting a run in one process or in many."""

import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from steploop.config import resolve_device

from . import comm
from .environment import available_cores
from .launchers import LaunchInfo, detect_launcher
from .spawn import run_processes

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = timedelta(minutes=30)
_LOOPBACK = "127.0.0.1"


def launch(
    main_func: Callable[..., Any],
    num_gpus_per_machine: int,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str | None = None,
    args: Sequence[Any] = (),
    timeout: timedelta = DEFAULT_TIMEOUT,
    *,
    device: str = "auto",
) -> None:
    """Run `main_func(*args)` in as many processes as asked for, each with its process group joined.

    One process runs here and now. Several are spawned, or, if this process is itself one of those that a launcher such
    as torchrun started, it joins the others and the number of processes is the launcher's. The backend is NCCL on GPUs
    and gloo on CPUs. The process group is destroyed at the end, after an error too.

    Args:
        main_func: what each process runs; it and `args` can be pickled.
        num_gpus_per_machine: processes on each machine, each with its own GPU unless `device` is "cpu".
        num_machines: machines, on each of which this function is called.
        machine_rank: this machine's number, in [0, num_machines).
        dist_url: where processes meet, tcp://HOST:PORT or file://PATH. None and "auto" take a free port of this
            machine, which no other run can get in between.
        args: arguments of main_func.
        timeout: of each collective operation.
        device: MODEL.DEVICE: "auto", "cpu" or "cuda".

    Raises:
        ValueError: fewer GPUs than processes, several machines without a `dist_url`, or a count out of its range.
        RankError: a spawned process failed; the error names its rank and shows its traceback.
        SystemExit: a spawned process called sys.exit.
    """
    info = detect_launcher(os.environ)
    if info is not None and info.world_size > 1:
        _join(info, main_func, args, num_gpus_per_machine, device, timeout)
        return
    if num_gpus_per_machine < 1 or not 0 <= machine_rank < num_machines:
        raise ValueError(
            "a run has at least 1 process on each machine, and 0 <= machine_rank < num_machines; got "
            f"num_gpus_per_machine={num_gpus_per_machine}, num_machines={num_machines}, machine_rank={machine_rank}"
        )
    kind = resolve_device(device, num_gpus_per_machine).type
    if num_machines * num_gpus_per_machine == 1:
        main_func(*args)
        return
    meeting = _Meeting(
        rank=machine_rank * num_gpus_per_machine,
        world_size=num_machines * num_gpus_per_machine,
        local_size=num_gpus_per_machine,
        backend="nccl" if kind == "cuda" else "gloo",
        timeout=timeout,
        url=_checked_url(dist_url, num_machines),
    )
    store = None
    if not meeting.url:
        # The parent itself listens, on a port that the system chose: a port that was only found to be free could be
        # taken before rank 0 opens it. The variable keeps the store open.
        store = dist.TCPStore(_LOOPBACK, 0, is_master=True, wait_for_workers=False, timeout=timeout)
        meeting = replace(meeting, store_port=store.port)
    run_processes(
        main_func,
        args,
        num_gpus_per_machine,
        inside=functools.partial(_spawned_rank, meeting),
        first_rank=meeting.rank,
    )


@dataclass(frozen=True)
class _Meeting:
    """What a process needs to know to join its group; `url` or `store_port` says where."""

    rank: int
    world_size: int
    local_size: int
    backend: str
    timeout: timedelta
    local_rank: int = 0
    url: str = ""
    store_port: int = 0


def _checked_url(dist_url: str | None, num_machines: int) -> str:
    """Return the address, "" if one is to be found."""
    if dist_url in (None, "", "auto"):
        if num_machines > 1:
            raise ValueError(
                f"{num_machines} machines need an address to meet at: give each of them the same "
                "--dist-url tcp://HOST:PORT, with the first machine's name and a free port of it"
            )
        return ""
    if num_machines > 1 and dist_url.startswith("file://"):
        logger.warning("%s serves several machines only on a file system that they share and that locks", dist_url)
    return dist_url


def _join(
    info: LaunchInfo,
    main_func: Callable[..., Any],
    args: Sequence[Any],
    num_gpus_per_machine: int,
    device: str,
    timeout: timedelta,
) -> None:
    """Be one of the processes that a launcher started."""
    if num_gpus_per_machine not in (1, info.local_size):
        logger.warning(
            "%d processes on each machine were asked for; %s has started %d, which holds",
            num_gpus_per_machine,
            info.launcher,
            info.local_size,
        )
    if info.master_addr is None or info.master_port is None:
        raise ValueError(
            f"{info.launcher} has started {info.world_size} processes but does not say where they meet: "
            "set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a free port of it"
        )
    # "auto" is not a request for GPUs here, where the number of processes is the launcher's.
    may_use_cpu = device == "auto" and not torch.cuda.is_available()
    kind = resolve_device(device, 1 if may_use_cpu else info.local_size).type
    is_torchrun = info.launcher == "pytorch"
    meeting = _Meeting(
        rank=info.rank,
        world_size=info.world_size,
        local_size=info.local_size,
        backend="nccl" if kind == "cuda" else "gloo",
        timeout=timeout,
        local_rank=info.local_rank,
        # torchrun's agent holds the store, which only env:// knows.
        url="env://" if is_torchrun else f"tcp://{info.master_addr}:{info.master_port}",
    )

    def run() -> None:
        with _process_group(meeting):
            main_func(*args)

    if is_torchrun:
        from torch.distributed.elastic.multiprocessing.errors import record

        run = record(run)  # torchrun's summary then shows the traceback of the rank that failed first
    run()


@contextmanager
def _spawned_rank(meeting: _Meeting, index: int) -> Iterator[None]:
    """What surrounds main_func in the spawned process number `index` of this machine."""
    _share_cores(meeting.local_size)
    with _process_group(replace(meeting, rank=meeting.rank + index, local_rank=index)):
        yield


def _share_cores(num_processes: int) -> None:
    """Give each process its share of the cores: by default each would start a thread for every core."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    threads = max(1, available_cores() // num_processes)
    torch.set_num_threads(threads)
    logger.info("%d CPU threads for each of %d processes; OMP_NUM_THREADS changes it", threads, num_processes)


@contextmanager
def _process_group(meeting: _Meeting) -> Iterator[None]:
    """Join the process group, and leave it whatever happens."""
    options: dict[str, Any] = {"rank": meeting.rank, "world_size": meeting.world_size, "timeout": meeting.timeout}
    if meeting.backend == "nccl":
        torch.cuda.set_device(meeting.local_rank)
        options["device_id"] = torch.device("cuda", meeting.local_rank)
    try:
        if meeting.url:
            options["init_method"] = meeting.url
        else:
            options["store"] = dist.TCPStore(
                _LOOPBACK, meeting.store_port, is_master=False, wait_for_workers=False, timeout=meeting.timeout
            )
        dist.init_process_group(meeting.backend, **options)
    except Exception as error:
        where = meeting.url or f"port {meeting.store_port} of this machine"
        error.add_note(f"rank {meeting.rank} of {meeting.world_size} could not meet the others at {where}")
        raise
    try:
        comm.set_local_rank(meeting.local_rank, meeting.local_size)
        comm.synchronize()
        yield
    except BaseException:
        if meeting.backend == "nccl" and dist.is_initialized():
            # An orderly end would wait for collectives that the other ranks never come to.
            dist.distributed_c10d._abort_process_group()
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
