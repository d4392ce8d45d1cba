"""Waiting for torch's own threads, so that none of them needs the interpreter while it is taken down.

After a collective operation has returned, a thread of gloo still holds its tensors for a moment, and on a busy machine
for longer. To release a tensor that Python has seen it needs the interpreter's lock. Up to Python 3.13, a thread that
asks for the lock after the interpreter's end has begun is ended by force, which C++ takes for a fatal error: the
process is aborted (SIGABRT, "terminate called without an active exception") after all its work was done. That the
process group was destroyed does not end these threads: a DistributedDataParallel somewhere may still refer to it.
"""

import logging
import time
from pathlib import Path

logger = logging.getLogger(__name__)

_TASKS = Path("/proc/self/task")
# The beginnings of names that torch gives to threads that hold tensors.
_NAMES = ("pt_gloo", "pt_autograd")
# A thread that sleeps through so many looks in a row has nothing to do. One that waits for the interpreter's lock asks
# again every 5 ms, and gets it while this thread pauses.
_LOOKS, _PAUSE = 4, 0.01


def wait_for_native_threads(seconds: float = 60.0) -> bool:
    """Wait until the threads of torch that may hold tensors sleep; return False if one still works after `seconds`.

    Called when no more collective operations come. Where the system does not show its threads (no /proc), nothing is
    waited for.
    """
    deadline = time.monotonic() + seconds
    quiet, before = 0, _busy_marks()
    while quiet < _LOOKS and before:
        if time.monotonic() > deadline:
            logger.warning("Threads of torch still work %g s after the last operation of this process", seconds)
            return False
        time.sleep(_PAUSE)
        now = _busy_marks()
        quiet = quiet + 1 if now == before and "" not in now.values() else 0
        before = now
    return True


def _busy_marks() -> dict[str, str]:
    """Return {thread: how often it has gone to sleep}, "" for one that runs or is ready to."""
    marks = {}
    for task in _TASKS.glob("*"):
        try:
            if task.joinpath("comm").read_text().startswith(_NAMES):
                status = dict(line.split(":", 1) for line in task.joinpath("status").read_text().splitlines())
                is_asleep = status["State"].strip().startswith("S")
                marks[task.name] = status["voluntary_ctxt_switches"].strip() if is_asleep else ""
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
    return marks
