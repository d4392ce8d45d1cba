"""The folder of a run: one run at a time, and none is ever overwritten."""

import datetime
import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path

from .files import clean_temporary, read_json_object, write_text_atomically
from .lock import FolderLock
from .manifest import MANIFEST

logger = logging.getLogger(__name__)

PREVIOUS = "previous"
LOCK = ".lock"

# The folders that this process holds, for as long as it lives.
_locks: dict[Path, FolderLock] = {}


def hold(folder: Path) -> None:
    """Take the folder for this process, and clear away what a killed one left half written.

    Raises:
        RuntimeError: a run of another process goes on in it; the error names that process.
    """
    folder = folder.resolve()
    if folder not in _locks:
        _locks[folder] = FolderLock(folder)
    clean_temporary(folder)


def let_go(folder: Path) -> None:
    """Give a folder back before this process ends."""
    lock = _locks.pop(folder.resolve(), None)
    if lock is not None:
        lock.release()


def holds_run(folder: Path) -> bool:
    """Say whether a run wrote into this folder."""
    return any((folder / name).exists() for name in (MANIFEST, "last_checkpoint", "metrics.json"))


def start_run(folder: Path, *, now: datetime.datetime | None = None) -> Path | None:
    """Make `folder` ready for a new run: move what an older one left into ``previous/<its start time>/``.

    Nothing is deleted.

    Args:
        folder: made if it is missing.
        now: the start time of the new run; the current time if None.

    Returns:
        The folder that now holds the older run, or None where there was none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moved = _move_aside(folder) if holds_run(folder) else None
    manifest = {
        "started": (now or datetime.datetime.now()).isoformat(timespec="seconds"),
        "command": sys.argv,
        "steploop": version("steploop"),
        "host": os.uname().nodename,
        "pid": os.getpid(),
    }
    write_text_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return moved


def _move_aside(folder: Path) -> Path:
    name = _start_time(folder).isoformat(timespec="seconds").replace(":", "-")
    target = folder / PREVIOUS / name
    number = 1
    while target.exists():
        number += 1
        target = folder / PREVIOUS / f"{name}_{number}"
    target.mkdir(parents=True)
    for entry in sorted(folder.iterdir()):
        if entry.name not in (PREVIOUS, LOCK):
            entry.rename(target / entry.name)
    return target


def _start_time(folder: Path) -> datetime.datetime:
    try:  # parsed, because it becomes the name of a folder
        return datetime.datetime.fromisoformat(read_json_object(folder / MANIFEST)["started"])
    except (OSError, ValueError, KeyError, TypeError):
        # A run of which the manifest is lost: the oldest file tells about when it began.
        oldest = min(entry.lstat().st_mtime for entry in folder.iterdir() if entry.name not in (PREVIOUS, LOCK))
        return datetime.datetime.fromtimestamp(oldest)
