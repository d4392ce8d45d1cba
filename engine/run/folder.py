"""The folder of a run: it has one run at a time, no run is overwritten, and files that no run wrote are not changed."""

import datetime
import fnmatch
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .files import clean_temporary, read_json_object, write_json_atomically
from .lock import FolderLock
from .manifest import MANIFEST, reserve

logger = logging.getLogger(__name__)

PREVIOUS = "previous"
LOCK = ".lock"
# The files that a run writes into its folder, except checkpoints with names that a user has chosen.
_LOGS = ("log.txt",)
OUTPUTS = (
    MANIFEST, "config.yaml", "last_checkpoint", "model_*.pth", *_LOGS, "log.txt.rank*", "metrics.json", "metrics.csv",
    "results.json", "nonfinite_*_rank*.json", "events.out.tfevents.*", "validation", "profiler",
)  # fmt: skip
_MOST_NAMES = 10_000

# The folders that this process has locked, until `let_go` or the end of the process.
_locks: dict[Path, FolderLock] = {}


def hold(folder: Path) -> None:
    """Lock the folder for this process, and remove the temporary files of killed processes.

    Raises:
        RuntimeError: another process runs in it; the error names that process.
    """
    folder = folder.resolve()
    if folder not in _locks:
        _locks[folder] = FolderLock(folder)
    clean_temporary(folder)


def let_go(folder: Path) -> None:
    """Release the lock of a folder before this process ends."""
    lock = _locks.pop(folder.resolve(), None)
    if lock is not None:
        lock.release()


def holds_run(folder: Path) -> bool:
    """Return True if a run wrote into this folder."""
    return any((folder / name).exists() for name in (MANIFEST, "last_checkpoint", "metrics.json"))


def start_run(
    folder: Path,
    *,
    keep: int = 0,
    is_checkpoint: Callable[[Path], bool] = lambda path: False,
    now: datetime.datetime | None = None,
) -> Path | None:
    """Prepare `folder` for a new run: move the files of an older run to ``previous/<its start time>/``.

    Only files that a run writes are moved: files that match `OUTPUTS`, files that `record_output` recorded, and
    checkpoints; except files that were in the folder before the older run began. All other files stay.

    Args:
        folder: created if it is missing.
        keep: keep the newest `keep` earlier runs without a final checkpoint and delete the others; 0 keeps all.
        is_checkpoint: returns True for a .pth file that a run has saved.
        now: the start time of the new run; the current time if None.

    Returns:
        The folder to which the older run was moved, or None if there was no older run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moved = _move_aside(folder, is_checkpoint) if holds_run(folder) else None
    if keep > 0:
        _delete_oldest(folder / PREVIOUS, keep)
    present = sorted(entry.name for entry in folder.iterdir() if entry.name not in (PREVIOUS, LOCK, *_LOGS))
    reserve(folder, present=present[:_MOST_NAMES], now=now)
    return moved


def record_output(folder: str | os.PathLike[str], name: str) -> None:
    """Record in the manifest that the run writes ``folder/name``, so that a later run moves it with the other files.

    A folder without a readable manifest has no run; nothing is written there.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = read_json_object(path)
    except (OSError, ValueError):
        return
    outputs = manifest.setdefault("outputs", [])
    if isinstance(outputs, list) and name not in outputs:
        outputs.append(name)
        write_json_atomically(path, manifest)


def _move_aside(folder: Path, is_checkpoint: Callable[[Path], bool]) -> Path | None:
    entries = _outputs_of_run(folder, is_checkpoint)
    if not entries:
        return None
    name = _start_time(folder, entries).isoformat(timespec="seconds").replace(":", "-")
    target = folder / PREVIOUS / name
    number = 1
    while target.exists():
        number += 1
        target = folder / PREVIOUS / f"{name}_{number}"
    target.mkdir(parents=True)
    for entry in entries:
        entry.rename(target / entry.name)
    return target


def _outputs_of_run(folder: Path, is_checkpoint: Callable[[Path], bool]) -> list[Path]:
    """Return the entries of `folder` that the run in it has written."""
    manifest = _manifest(folder)
    foreign = set(_names(manifest, "present"))
    noted = set(_names(manifest, "outputs"))
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return [
        entry
        for entry in entries
        if entry.name not in foreign and (entry.name in noted or _is_output(entry, is_checkpoint))
    ]


def _is_output(entry: Path, is_checkpoint: Callable[[Path], bool]) -> bool:
    if any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in OUTPUTS):
        return True
    return entry.suffix == ".pth" and entry.is_file() and is_checkpoint(entry)


def _delete_oldest(previous: Path, keep: int) -> None:
    """Delete earlier runs without a final checkpoint until `keep` of them are left; a finished run stays."""
    if not previous.is_dir():
        return
    unfinished = sorted(run for run in previous.iterdir() if run.is_dir() and not any(run.glob("*_final.pth")))
    for run in unfinished[:-keep]:
        shutil.rmtree(run, ignore_errors=True)
        logger.warning("Deleted %s: %d earlier runs without a final checkpoint are kept", run, keep)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return read_json_object(folder / MANIFEST)
    except (OSError, ValueError):
        return {}


def _names(manifest: dict[str, Any], key: str) -> list[str]:
    names = manifest.get(key)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _start_time(folder: Path, entries: list[Path]) -> datetime.datetime:
    try:  # parsed, because it becomes the name of a folder
        return datetime.datetime.fromisoformat(_manifest(folder)["started"])
    except (ValueError, KeyError, TypeError):
        # The manifest is lost: the time of the oldest file is close to the start of the run.
        oldest = min(entry.lstat().st_mtime for entry in entries)
        return datetime.datetime.fromtimestamp(oldest)
