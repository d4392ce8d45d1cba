"""The files below a folder, also behind links."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


def files_below(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the files in a folder and in the folders below it, by name; hidden ones are skipped.

    Linked folders and files count as if they were there. A link to a folder that contains it is followed no second
    time, and a link to nowhere is skipped with a warning.
    """
    yield from _walk(Path(folder), ())


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        logger.warning("%s links to a folder that contains it: not followed", folder)
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, (*above, real))
        elif entry.exists():
            yield entry
        else:
            logger.warning("%s is a link to nowhere: skipped", entry)
