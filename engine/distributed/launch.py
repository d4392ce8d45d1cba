"""Starting a run in one process or in many."""

import functools
import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from steploop.config import resolve_device

from .launchers import LaunchInfo, detect_launcher
from .native_threads import wait_for_native_threads
from .parent_watch import ends_with_parent
from .process_group import Meeting, process_group
from .rendezvous import LOOPBACK, REMEDY, find_rendezvous
from .spawn import run_processes

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = timedelta(minutes=30)
# How often this process has met others; all of its run count alike, so that no meeting is taken for an earlier one.
_meetings = itertools.count()


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
    launcher: str = "auto",
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
        launcher: "pytorch", "slurm" or "mpi" if this process was started by it, "none" to ignore them, "auto" to see.

    Raises:
        ValueError: fewer GPUs than processes, several machines without a `dist_url`, a count out of its range, or a
            launcher that is not there.
        RankError: a spawned process failed; the error names its rank and shows its traceback.
        SystemExit: a spawned process called sys.exit.
    """
    info = detect_launcher(os.environ, launcher)
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
    meeting = Meeting(
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
        store = dist.TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False, timeout=timeout)
        meeting = replace(meeting, store_port=store.port)
    run_processes(
        main_func,
        args,
        num_gpus_per_machine,
        inside=functools.partial(_spawned_rank, meeting),
        first_rank=meeting.rank,
    )


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
            "%d processes on each machine were asked for; %s has started %d, which holds (--launcher none ignores it)",
            num_gpus_per_machine,
            info.launcher,
            info.local_size,
        )
    is_torchrun = info.launcher == "pytorch"
    rendezvous = None
    if is_torchrun and (info.master_addr is None or info.master_port is None):
        raise ValueError(f"RANK and WORLD_SIZE say that there are {info.world_size} processes, but not where: {REMEDY}")
    if info.master_addr is None or info.master_port is None:
        rendezvous = find_rendezvous(info, os.environ, next(_meetings))
    # "auto" is not a request for GPUs here, where the number of processes is the launcher's.
    may_use_cpu = device == "auto" and not torch.cuda.is_available()
    # srun and mpirun may show each process one GPU, its own.
    has_own_gpu = not is_torchrun and "CUDA_VISIBLE_DEVICES" in os.environ and torch.cuda.device_count() == 1
    kind = resolve_device(device, 1 if may_use_cpu or has_own_gpu else info.local_size).type
    meeting = Meeting(
        rank=info.rank,
        world_size=info.world_size,
        local_size=info.local_size,
        backend="nccl" if kind == "cuda" else "gloo",
        timeout=timeout,
        local_rank=info.local_rank,
        gpu=0 if has_own_gpu else info.local_rank,
        # torchrun's agent holds the store, which only env:// knows.
        url="env://" if is_torchrun else f"tcp://{info.master_addr}:{info.master_port}",
        rendezvous=rendezvous,
    )
    if not is_torchrun:  # which sees to it itself
        _share_cores(info.local_size, os.environ.get("SLURM_CPUS_PER_TASK") if info.launcher == "slurm" else None)

    def run() -> None:
        try:
            with ends_with_parent(), process_group(meeting), _kept_exit_code():
                main_func(*args)
        except Exception as error:
            error.add_note(f"(rank {info.rank} of {info.world_size})")
            raise
        finally:
            wait_for_native_threads()  # the interpreter may end now

    if is_torchrun:
        from torch.distributed.elastic.multiprocessing.errors import record

        run = record(run)  # torchrun's summary then shows the traceback of the rank that failed first
    run()


@contextmanager
def _kept_exit_code() -> Iterator[None]:
    """Let a process that leaves with an exit code leave with that one.

    All ranks leave at the same time; a launcher that sees the first of them gone sends SIGTERM to the rest, and would
    report that these were terminated.
    """
    try:
        yield
    except SystemExit:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise


@contextmanager
def _spawned_rank(meeting: Meeting, index: int) -> Iterator[None]:
    """What surrounds main_func in the spawned process number `index` of this machine."""
    _share_cores(meeting.local_size)
    with process_group(replace(meeting, rank=meeting.rank + index, local_rank=index, gpu=index)):
        yield


def _share_cores(num_processes: int, reserved: str | None = None) -> None:
    """Give each process its share of the cores, or what was reserved for it.

    By default each would start a thread for every core.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    threads = int(reserved) if reserved else max(1, available_cores() // num_processes)
    torch.set_num_threads(threads)
    logger.info("%d CPU threads for each of %d processes; OMP_NUM_THREADS changes it", threads, num_processes)


def available_cores() -> int:
    """Return the number of CPU cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
