"""Finds the checkpoint from which a run resumes: the newest one that is valid."""

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
# Stored as False in a file from which a run never resumes by itself, such as the best checkpoint.
RESUMABLE = "resumable"


class Found(NamedTuple):
    """A checkpoint file and its content."""

    path: Path
    checkpoint: dict[str, Any]


def read_pointer(folder: str | os.PathLike[str]) -> Path | None:
    """Return the file that `last_checkpoint` names, which may be missing; None if there is no `last_checkpoint`.

    Raises:
        CheckpointError: its content is not the name of a file in its folder.
    """
    pointer = Path(folder) / POINTER
    try:
        raw = read_small_file(pointer, limit=4096)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{pointer} should be a file with the name of a file beside it: {error}") from error
    name = raw.decode(errors="replace").strip()
    # No checkpoint has a hidden name. Opening and closing .lock could release this process's lock on the folder.
    if not name or name.startswith(".") or Path(name).name != name or "\0" in name or len(raw) > _LONGEST_NAME:
        raise CheckpointError(f"{pointer} should hold the name of a file beside it, and holds {name[:80]!r}")
    return Path(folder) / name


def checkpoint_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the `.pth` files of a folder, sorted by name; [] if the folder does not exist."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    visible = [path for path in folder.iterdir() if path.suffix == ".pth" and not path.name.startswith(".")]
    return sorted(path for path in visible if path.is_file())


def resumable_files(folder: str | os.PathLike[str]) -> tuple[list[Path], list[Path]]:
    """Return the checkpoints of a folder from which a run can resume, newest first, and the unreadable ones.

    The newest file is the one that stores the largest iteration. Files without an iteration (weights that a user put
    there) and files saved with `tag_last=False` (the best) are skipped. Only the structure of each file is read.
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
    """Return True if a run has saved this file: it stores an iteration."""
    try:
        return type(peek_checkpoint(path).get("iteration")) is int
    except (CheckpointError, OSError):
        return False


def holds_checkpoint(folder: Path) -> bool:
    """Return True if the folder has a checkpoint, valid or damaged, from which a run might resume."""
    found, unreadable = resumable_files(folder)
    return bool(found or unreadable or (folder / POINTER).exists())


def find_newest_valid(folder: str | os.PathLike[str]) -> Found | None:
    """Return the file that `last_checkpoint` names, or the newest valid one if that is damaged or missing.

    A warning names each file that is skipped. None: no checkpoint from which a run could resume was ever written.

    Raises:
        NoValidCheckpoint: files exist, but none is valid.
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
            logger.warning("Resuming from %s, the newest valid checkpoint in its folder", path)
            return found
        bad.append(path)
    bad = sorted({*bad, *unreadable})
    if bad:
        raise NoValidCheckpoint(
            f"no checkpoint in {folder} is valid; tried {', '.join(path.name for path in bad)}. "
            "Restore one from a backup, or start again in another folder or without resuming."
        )
    return None


def _try(path: Path) -> Found | None:
    try:
        return Found(path, read_checkpoint(path))
    except (CheckpointError, OSError) as error:
        logger.warning("Not resuming from %s: %s", path.name, error)
        return None
