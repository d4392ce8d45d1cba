"""A rank of a launcher of which a thread of gloo still releases a tensor when all its work is done.

Run as `python slow_release.py exit|raise`: after `launch` it calls sys.exit(7), or `launch` raises.
"""

import atexit
import os
import sys
import threading
import time

import torch
import torch.distributed as dist

from steploop.engine import comm, launch

SECONDS = 2.0  # longer than the rest of the program takes
RELEASING = threading.Event()
KEPT: list[object] = []


class Guard:
    """Goes with a tensor, and keeps the thread that releases this tensor at work."""

    def __del__(self) -> None:
        RELEASING.set()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            pass


def work(how: str) -> None:
    KEPT.append(dist.group.WORLD)  # as a DistributedDataParallel does: gloo's threads outlive the group
    others = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    if comm.get_rank() == 0:
        others.wait(["rank 1 has let go"])
        dist.all_reduce(torch.ones(8))
    else:
        tensor = torch.ones(8)
        tensor.guard = Guard()  # type: ignore[attr-defined]
        handle = dist.all_reduce(tensor, async_op=True)
        del tensor, handle  # the operation goes on, and its thread alone holds the tensor
        others.set("rank 1 has let go", "")
        RELEASING.wait(30)
    if how == "raise":
        raise LookupError("told to raise")


if __name__ == "__main__":
    launch(work, 1, device="cpu", args=(sys.argv[1],))
    print("after launch", flush=True)
    atexit.register(print, "exit handler", flush=True)
    print("a line that is not flushed", end="")
    sys.exit(7)
