"""Metrics as lines of a text file that a resumed run cuts and goes on with."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .appended import AppendedFile
from .new_values import NewValuesWriter

# In bytes. A longer one is no line of metrics; it may be as long as the file.
_LONGEST_LINE = 2**24


class LineWriter(NewValuesWriter):
    """Appends lines to a file; a subclass says what is written, and which lines are known.

    Args:
        path: the file, opened at the first write; its folder must exist.
        window_size: iterations over which medians are taken.
        header: the first line of a new file, with its end.
    """

    def __init__(self, path: str | os.PathLike[str], window_size: int = 20, *, header: str = "") -> None:
        super().__init__(window_size)
        # Bytes, so that ends of lines are not translated: a file is the same on every system.
        self._file = AppendedFile(path, header.encode(), self._cut)
        self._cuts = False

    def is_known(self, line: bytes) -> bool:
        """Return True if a line, with its end, is one of metrics up to the last write."""
        raise NotImplementedError(f"{type(self).__name__} must implement is_known(line)")

    def open(self) -> None:
        """Open the file, before anything is taken from the storage; what a resumed run writes again is cut off.

        Raises:
            OSError: the file cannot be opened.
        """
        self._file.open()

    def append(self, lines: Iterable[str]) -> None:
        """Write lines, with their ends.

        Raises:
            OSError: the disk is full, or the folder is gone; the lines wait for the next time.
        """
        for line in lines:
            self._file.add(line.encode())
        self._file.push()

    def flush(self) -> None:
        """Wait until the lines are on the disk."""
        self._file.flush()

    def close(self) -> None:
        """Close the file, durably."""
        self._file.close()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last line that the checkpoint knows of; later ones are cut off when the file is opened."""
        super().load_state_dict(state)
        self._cuts = True

    def _cut(self, path: Path) -> None:
        """Cut off what a resumed run writes again."""
        if self._cuts and path.exists():
            cut_at_first_unknown(path, self.is_known)
        self._cuts = False


def cut_at_first_unknown(path: Path, is_known: Callable[[bytes], bool]) -> None:
    """Cut a file before the first line that is not whole, or of which `is_known` is false.

    A killed run may have written lines that its last checkpoint does not know of; the resumed one writes them again.
    """
    end = 0
    with path.open("rb+") as file:
        while line := file.readline(_LONGEST_LINE):
            if not line.endswith(b"\n") or not is_known(line):
                break
            end += len(line)
        file.truncate(end)
