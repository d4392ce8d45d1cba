"""The moment at which a run begins to write: after everything that may be refused was checked."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..distributed.agreement import from_main
from .files import write_text_atomically
from .folder import start_run
from .logger import release_log

logger = logging.getLogger(__name__)


@dataclass
class RunStart:
    """What is left to do in a folder when a run begins.

    Attributes:
        folder: OUTPUT_DIR.
        resumes: True if the run in the folder is resumed; otherwise its files are moved to ``previous/``.
        files: {name: text} of the files that are written then.
        keep_previous: see `start_run`.
        is_checkpoint: see `start_run`.
        why: a remark for the log where an earlier run is moved.
    """

    folder: Path
    resumes: bool
    files: Mapping[str, str] = field(default_factory=dict)
    keep_previous: int = 0
    is_checkpoint: Callable[[Path], bool] = lambda path: False
    why: str = ""

    def run(self) -> None:
        """Move an earlier run, and write the files."""
        moved = None
        if not self.resumes:
            moved = start_run(self.folder, keep=self.keep_previous, is_checkpoint=self.is_checkpoint)
        for name, text in self.files.items():
            write_text_atomically(self.folder / name, text)
        if moved is not None:
            logger.info("The folder held an earlier run, which is now in %s%s", moved, self.why)


# Of this process; a run that is refused never uses it. One process has one run at a time.
_waiting: RunStart | None = None


def begin_later(start: RunStart | None) -> None:
    """Keep a start until `begin`; every process calls both. None drops one that waits."""
    global _waiting
    _waiting = start


def is_new_run(folder: Path) -> bool:
    """Return True if a run is about to begin in `folder` that does not resume the run in it."""
    return _waiting is not None and not _waiting.resumes and _waiting.folder.resolve() == folder.resolve()


def begin() -> None:
    """Begin the run that waits, if one does: the main process prepares the folder, then every process opens its log.

    Raises:
        OSError: the folder cannot be written.
    """
    global _waiting
    if _waiting is None:
        return
    start, _waiting = _waiting, None
    from_main(start.run)
    release_log()
