"""Metrics as lines of a text file that a resumed run cuts and goes on with."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from .new_values import NewValuesWriter

# In bytes. A longer one is no line of metrics; it may be as long as the file.
_LONGEST_LINE = 2**24


class LineWriter(NewValuesWriter):
    """Appends lines to a file; a subclass says what is written, and which lines are known.

    Args:
        path: the file, opened at the first write; its folder must exist.
        window_size: iterations over which medians are taken.
    """

    def __init__(self, path: str | os.PathLike[str], window_size: int = 20) -> None:
        super().__init__(window_size)
        self._path = Path(path)
        self._file: TextIO | None = None
        self._cuts = False

    def is_known(self, line: bytes) -> bool:
        """Say whether a line, with its end, is one of metrics up to the last write."""
        raise NotImplementedError(f"{type(self).__name__} must implement is_known(line)")

    def open(self) -> TextIO:
        """Return the open file; before it is opened, what a resumed run writes again is cut off."""
        if self._file is None:
            if self._cuts and self._path.exists():
                cut_at_first_unknown(self._path, self.is_known)
            # No translation of line ends: a file has the same bytes on every system.
            self._file = self._path.open("a", encoding="utf-8", newline="")
        return self._file

    def flush(self) -> None:
        """Wait until the lines are on the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, durably."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last line that the checkpoint knows of; later ones are cut off when the file is opened."""
        super().load_state_dict(state)
        self._cuts = True


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
