"""Deletes old periodic checkpoints."""

import logging
import os
import re
from pathlib import Path

from .errors import CheckpointError
from .verify import verify_file

logger = logging.getLogger(__name__)


def periodic_name(prefix: str, iteration: int) -> str:
    """Return the name, without `.pth`, of the checkpoint after `iteration`: detectron2's `model_0004999`."""
    return f"{prefix}_{iteration:07d}"


def periodic_iteration(name: str, prefix: str) -> int | None:
    """Return the iteration in a periodic checkpoint's file name; None for another file."""
    match = re.fullmatch(re.escape(prefix) + r"_(\d{7,})\.pth", name, flags=re.ASCII)
    return int(match[1]) if match else None


def prune(written: str | os.PathLike[str], prefix: str, max_to_keep: int) -> list[str]:
    """Delete all periodic checkpoints except the newest `max_to_keep`, and return the names of the deleted files.

    Files of earlier sessions count too. Files of later iterations than `written` are the first to be deleted: the run
    was resumed from before them, so they are not part of it.

    Args:
        written: the file that has just become durable. It is verified first; if it is damaged, nothing is deleted.
        prefix: of the files' names, see `periodic_name`.
        max_to_keep: number of files, at least 1.

    Raises:
        ValueError: `max_to_keep` is less than 1.
    """
    if max_to_keep < 1:
        raise ValueError(f"max_to_keep is a number of files, at least 1, or None for all; got {max_to_keep}")
    written = Path(written)
    iterations = {path: periodic_iteration(path.name, prefix) for path in written.parent.iterdir()}
    periodic = {path: iteration for path, iteration in iterations.items() if iteration is not None}
    current = periodic.get(written, max(periodic.values(), default=0))
    by_age = sorted(periodic, key=lambda path: (periodic[path] <= current, periodic[path]), reverse=True)
    surplus = by_age[max_to_keep:]
    if not surplus:
        return []
    try:
        verify_file(written)
    except (CheckpointError, OSError) as error:
        logger.error("No older checkpoint is deleted, because the new one is not whole: %s", error)
        return []
    for path in surplus:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in surplus)
