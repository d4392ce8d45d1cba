"""Lists the files below a folder, also through links."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

# Of the files that are taken for images where a folder is read.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip


def files_below(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the files in a folder and in the folders below it, by name; hidden ones are skipped.

    Links to folders and files are followed. A link to a folder that contains it is followed only once, and a link whose
    target is missing is skipped; both log a warning.
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
