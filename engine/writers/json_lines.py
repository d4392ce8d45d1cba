"""Metrics as lines of JSON."""

import json
import math
import os
from pathlib import Path
from typing import Any, TextIO

from ..events import EventWriter, get_event_storage

# In bytes. A longer one is no line of metrics; it may be as long as the file.
_LONGEST_LINE = 2**24


class JSONWriter(EventWriter):
    """Appends one JSON object a line for each iteration that has new values.

    A line is ``{"iteration": 19, "lr": 0.01, "total_loss": 2.3}``, with sorted keys; values that may be smoothed are
    medians over `window_size` iterations. NaN and infinities, for which JSON has no words, become null.

    Args:
        json_file: the file, opened at the first write; its folder must exist.
        window_size: iterations over which medians are taken.
    """

    def __init__(self, json_file: str | os.PathLike[str], window_size: int = 20) -> None:
        self._path = Path(json_file)
        self._file: TextIO | None = None
        self._window_size = window_size
        self._last_write = -1
        self._cuts = False

    def write(self) -> None:
        """Append what is newer than the last line."""
        lines: dict[int, dict[str, Any]] = {}
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._last_write:
                lines.setdefault(iteration, {"iteration": iteration})[name] = value if math.isfinite(value) else None
        file = self._file = self._file or self._open()
        for iteration in sorted(lines):
            file.write(json.dumps(lines[iteration], sort_keys=True) + "\n")
            self._last_write = iteration
        # To the operating system only: a reader sees the lines at once, and the disk is not waited for.
        file.flush()

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

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration of the last line."""
        return {"last_write": self._last_write}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last line that the checkpoint knows of; later ones are cut off when the file is opened."""
        self._last_write = state["last_write"]
        self._cuts = True

    def _open(self) -> TextIO:
        if self._cuts and self._path.exists():
            cut_lines(self._path, self._last_write)
        return self._path.open("a", encoding="utf-8")


def cut_lines(path: Path, last_iteration: int) -> None:
    """Cut a file of JSON lines before the first one of a later iteration, or that is no whole line of metrics.

    A killed run may have written lines that its last checkpoint does not know of; the resumed one writes them again.
    """
    end = 0
    with path.open("rb+") as file:
        while line := file.readline(_LONGEST_LINE):
            if not line.endswith(b"\n") or not _is_before(line, last_iteration):
                break
            end += len(line)
        file.truncate(end)


def _is_before(line: bytes, last_iteration: int) -> bool:
    try:
        return json.loads(line)["iteration"] <= last_iteration
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
