"""What the processes of test_launch.py and test_comm.py (tests/engine/distributed) run: they import it by name."""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from steploop.engine import comm, default_setup
from steploop.engine.distributed.agreement import check_same_config, from_main
from steploop.engine.distributed.launch import launch
from tiny_project import tiny_args, tiny_cfg

_POOL = ThreadPoolExecutor(max_workers=1)


def report(folder: str) -> None:
    """Write what this rank sees to a file."""
    total = torch.ones(())
    if dist.is_initialized():
        dist.all_reduce(total)
    seen = {
        "pid": os.getpid(),
        "rank": comm.get_rank(),
        "world": comm.get_world_size(),
        "local": [comm.get_local_rank(), comm.get_local_size()],
        "total": total.item(),
        "threads": torch.get_num_threads(),
        "backend": dist.get_backend() if dist.is_initialized() else None,
    }
    Path(folder, f"rank{comm.get_rank()}.json").write_text(json.dumps(seen))


def talk(folder: str) -> None:
    """Use every function of comm."""
    rank = comm.get_rank()
    reduced = comm.reduce_dict({"b": torch.tensor(2.0 + rank), "a": torch.tensor(10.0 * rank)})
    seen = {
        "main": comm.is_main_process(),
        "all_gather": comm.all_gather({"rank": rank, "text": "x" * (rank + 1)}),
        "gather": comm.gather(rank, dst=1),
        "seed": comm.shared_random_seed(),
        "reduced": {name: value.item() for name, value in reduced.items()} if rank == 0 else None,
    }
    tensors = comm.gather_tensor(torch.full((rank, 3), float(rank)) if rank else torch.empty(0, 0), dst=1)
    seen["tensors"] = [part.tolist() for part in tensors]
    comm.create_local_process_group(1)
    seen["local"] = [comm.get_local_rank(), comm.get_local_size()]
    seen["in local group"] = comm.all_gather(rank, group=comm.get_local_process_group())
    comm.synchronize()
    Path(folder, f"rank{rank}.json").write_text(json.dumps(seen))


def agree(folder: str) -> None:
    """Write what each rank gets from rank 0, and what it raises where ranks differ."""
    rank = comm.get_rank()

    def said(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def refuse(error: Exception) -> None:
        raise error

    cfg = tiny_cfg(folder)
    other = tiny_cfg(folder, "SEED", 3 + rank, "SOLVER.BASE_LR", 0.1 * (rank + 1))
    file = Path(folder, "a file")
    file.touch()
    seen = {
        "result": from_main(lambda: rank),
        "error": said(lambda: from_main(lambda: refuse(FileNotFoundError(2, "no such file", "x.yaml")))),
        "unpicklable": said(lambda: from_main(lambda: refuse(_Unpicklable(1, 2)))),
        "same": said(lambda: check_same_config(cfg)),
        "different": said(lambda: check_same_config(other)),
        "set-up of different configs": said(lambda: default_setup(other, tiny_args())),
        "flags": said(lambda: default_setup(cfg, tiny_args(resume=rank == 1))),
        "folder": said(lambda: default_setup(tiny_cfg(file / "below"), tiny_args())),
    }
    Path(folder, f"rank{rank}.json").write_text(json.dumps(seen))


class _Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raise_on(rank: int) -> None:
    """Raise on one rank while the others wait for it."""
    if comm.get_rank() == rank:
        raise LookupError("the cause")
    dist.barrier()


def raise_while_others_compute(rank: int) -> None:
    """Raise on one rank while the others neither hear nor talk."""
    if comm.get_rank() == rank:
        raise LookupError("the cause")
    threading.Event().wait()


def die_on(rank: int) -> None:
    """Kill one rank as the system would, while the others wait for it."""
    if comm.get_rank() == rank:
        os.kill(os.getpid(), 9)
    dist.barrier()


def leave_with(code: int | str, ranks: list[int], folder: str) -> None:
    """Call sys.exit on some ranks; the others finish something after these have gone."""
    if comm.get_rank() in ranks:
        sys.exit(code)
    with contextlib.suppress(RuntimeError):  # the connection is closed
        dist.barrier()
    Path(folder, "done").write_text("")


def leave_a_pool(folder: str) -> None:
    """End with a thread of a pool that nobody shut down, as torch.compile does."""
    _POOL.submit(Path(folder, str(comm.get_rank())).touch).result()


def wait_forever(folder: str) -> None:
    """Say who waits, then wait; note an interrupt."""
    path = Path(folder, f"rank{comm.get_rank()}.pid")
    path.with_suffix(".tmp").write_text(str(os.getpid()))
    path.with_suffix(".tmp").rename(path)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        Path(folder, f"rank{comm.get_rank()}.interrupted").write_text("")
        raise


if __name__ == "__main__":  # a parent that a test can interrupt or kill, or a process of torchrun
    name, number, folder = sys.argv[1:]
    launch(globals()[name], int(number), device="cpu", args=(folder,), timeout=timedelta(minutes=1))
