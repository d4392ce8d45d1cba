"""Every test leaves the process as it found it."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

# What pytest sets for each test, and torch once, when the first optimizer loads its compiler.
VARIABLES_OF_OTHERS = {"PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR"}


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves a process group, a process, a thread or an environment variable behind."""
    before = _traces()
    variables = dict(os.environ)
    yield
    if "steploop.engine.run.start" in sys.modules:  # a test of a set-up may end before the training begins
        sys.modules["steploop.engine.run.start"].begin_later(None)
    left = sorted(_traces() - before)
    left += sorted(
        f"environment variable {name}"
        for name in (variables.keys() | os.environ.keys()) - VARIABLES_OF_OTHERS
        if variables.get(name) != os.environ.get(name)
    )
    if left:
        _restore(variables)
        pytest.fail("the test left behind: " + ", ".join(left), pytrace=False)


def _traces() -> set[str]:
    """Name what a test could leave behind, but for variables; daemon threads end with the process and do not count."""
    found = {f"thread {thread.name}" for thread in threading.enumerate() if not thread.daemon}
    found |= {f"process {pid}" for pid in _children()}
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        found.add("process group")
    return found


def _children() -> set[int]:
    """Return the processes that this one started and that have not ended, or that nobody has waited for."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # raises where there are none, the usual case
        tracker = resource_tracker._resource_tracker._pid  # multiprocessing starts it once and keeps it
        return {int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == os.getpid()} - {
            tracker
        }
    return set()


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):  # it has ended since the folder was listed
        return 0


def _restore(variables: dict[str, str]) -> None:
    """Undo what can be undone, so that the next test does not fail for this one."""
    os.environ.clear()
    os.environ.update(variables)
    if "process group" in _traces():
        sys.modules["torch.distributed"].destroy_process_group()
