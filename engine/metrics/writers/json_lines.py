"""Metrics as lines of JSON."""

import json
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

from .lines import LineWriter, cut_at_first_unknown

# Made once: json.dumps with an option makes an encoder for each line.
_encode = json.JSONEncoder(sort_keys=True).encode


class JSONWriter(LineWriter):
    """Appends one JSON object a line for each iteration that has new values.

    A line is ``{"iteration": 19, "lr": 0.01, "total_loss": 2.3}``, with sorted keys; values that may be smoothed are
    medians over `window_size` iterations. NaN and infinities, for which JSON has no words, become null.

    Args:
        json_file: the file, opened at the first write; its folder must exist.
        window_size: iterations over which medians are taken.
    """

    def __init__(self, json_file: str | os.PathLike[str], window_size: int = 20) -> None:
        super().__init__(json_file, window_size)

    def write(self) -> None:
        """Append what is newer than the last line."""
        self.open()
        self.append([_line(iteration, values) for iteration, values in self.new_scalars()])

    def is_known(self, line: bytes) -> bool:
        """Return True if a line is one of metrics up to the last write."""
        return _is_before(self._last_write, line)


def _line(iteration: int, values: dict[str, float]) -> str:
    line: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return _encode(line | {"iteration": iteration}) + "\n"


def cut_lines(path: Path, last_iteration: int) -> None:
    """Cut a file of JSON lines before the first one of a later iteration, or that is no whole line of metrics."""
    cut_at_first_unknown(path, partial(_is_before, last_iteration))


def _is_before(last_iteration: int, line: bytes) -> bool:
    try:
        return json.loads(line)["iteration"] <= last_iteration
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
