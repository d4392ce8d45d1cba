"""Finds the checkpoint from which a run goes on: the newest one that is whole."""

import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

from ..run.files import read_small_file
from .errors import CheckpointError, NoValidCheckpoint
from .reader import peek_checkpoint, read_checkpoint

logger = logging.getLogger(__name__)
POINTER = "last_checkpoint"
_LONGEST_NAME = 255  # bytes, of every file system in use
# Stored as False in a file that a run never goes on from by itself, such as the best one.
RESUMABLE = "resumable"


class Found(NamedTuple):
    """A checkpoint file and what is in it."""

    path: Path
    checkpoint: dict[str, Any]


def read_pointer(folder: str | os.PathLike[str]) -> Path | None:
    """Return the file that `last_checkpoint` names, which may be missing; None where nothing is named.

    Raises:
        CheckpointError: it holds something else than the name of a file in its folder.
    """
    pointer = Path(folder) / POINTER
    try:
        raw = read_small_file(pointer, limit=4096)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{pointer} should be a file with the name of a file beside it: {error}") from error
    name = raw.decode(errors="replace").strip()
    # No checkpoint is hidden; reading .lock, for one, would drop this process's lock on the folder.
    if not name or name.startswith(".") or Path(name).name != name or "\0" in name or len(raw) > _LONGEST_NAME:
        raise CheckpointError(f"{pointer} should hold the name of a file beside it, and holds {name[:80]!r}")
    return Path(folder) / name


def checkpoint_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the `.pth` files of a folder, by name; none where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    visible = [path for path in folder.iterdir() if path.suffix == ".pth" and not path.name.startswith(".")]
    return sorted(path for path in visible if path.is_file())


def resumable_files(folder: str | os.PathLike[str]) -> tuple[list[Path], list[Path]]:
    """Return the checkpoints of a folder that a run can go on from, newest first, and the unreadable ones.

    Newest is by the iteration that is stored in the file. Files without one (weights that somebody put there) and files
    saved with `tag_last=False` (the best) do not count. Only the structure of each file is looked at.
    """
    found, unreadable = [], []
    for path in checkpoint_files(folder):
        try:
            facts = peek_checkpoint(path)
        except (CheckpointError, OSError) as error:
            logger.warning("%s", error)
            unreadable.append(path)
            continue
        iteration = facts.get("iteration")
        if type(iteration) is int and facts.get(RESUMABLE, True):
            found.append((iteration, path.name, path))
    return [path for *_, path in sorted(found, reverse=True)], unreadable


def is_checkpoint_of_a_run(path: Path) -> bool:
    """Return True if a run has saved this file: it says at which iteration."""
    try:
        return type(peek_checkpoint(path).get("iteration")) is int
    except (CheckpointError, OSError):
        return False


def holds_checkpoint(folder: Path) -> bool:
    """Say whether there is a checkpoint, whole or damaged, that a run might go on from."""
    found, unreadable = resumable_files(folder)
    return bool(found or unreadable or (folder / POINTER).exists())


def find_newest_valid(folder: str | os.PathLike[str]) -> Found | None:
    """Return the file that `last_checkpoint` names, or the newest valid one where that is damaged or missing.

    Each file that is passed over is named in a warning. None: nothing that a run could go on from was ever written.

    Raises:
        NoValidCheckpoint: there are files, and none of them is valid.
    """
    try:
        named = read_pointer(folder)
    except CheckpointError as error:
        logger.warning("%s", error)
        named = None
    bad = []
    if named is not None:
        found = _try(named)
        if found is not None:
            return found
        bad.append(named)
    files, unreadable = resumable_files(folder)
    for path in files:
        found = _try(path) if path not in bad else None
        if found is not None:
            logger.warning("Going on from %s, the newest valid checkpoint in its folder", path)
            return found
        bad.append(path)
    bad = sorted({*bad, *unreadable})
    if bad:
        raise NoValidCheckpoint(
            f"no checkpoint in {folder} is valid; tried {', '.join(path.name for path in bad)}. "
            "Bring one back from a copy, or start anew in another folder or without resuming."
        )
    return None


def _try(path: Path) -> Found | None:
    try:
        return Found(path, read_checkpoint(path))
    except (CheckpointError, OSError) as error:
        logger.warning("Not going on from %s: %s", path.name, error)
        return None
