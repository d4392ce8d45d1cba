"""Metrics as lines of JSON."""

import json
import math
import os
from pathlib import Path
from typing import Any

from ..events import EventWriter, get_event_storage


class JSONWriter(EventWriter):
    """Appends one JSON object a line for each iteration that has new values.

    A line is ``{"iteration": 19, "lr": 0.01, "total_loss": 2.3}``, with sorted keys; values that may be smoothed are
    medians over `window_size` iterations. NaN and infinities, for which JSON has no words, become null.

    Args:
        json_file: the file; its folder must exist.
        window_size: iterations over which medians are taken.
    """

    def __init__(self, json_file: str | os.PathLike[str], window_size: int = 20) -> None:
        self._file = Path(json_file).open("a", encoding="utf-8")  # noqa: SIM115: closed by close()
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        """Append what is newer than the last line."""
        lines: dict[int, dict[str, Any]] = {}
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._last_write:
                lines.setdefault(iteration, {"iteration": iteration})[name] = value if math.isfinite(value) else None
        for iteration in sorted(lines):
            self._file.write(json.dumps(lines[iteration], sort_keys=True) + "\n")
            self._last_write = iteration
        # To the operating system only: a reader sees the lines at once, and the disk is not waited for.
        self._file.flush()

    def flush(self) -> None:
        """Wait until the lines are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, durably."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration of the last line."""
        return {"last_write": self._last_write}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last line that the checkpoint knows of; lines after it are cut by `cut_lines`."""
        self._last_write = state["last_write"]
