"""Reads small files of a run's folder, into which anybody may have put anything."""

import json
import os
import stat
from pathlib import Path
from typing import Any


def read_small_file(path: str | os.PathLike[str], limit: int = 2**20) -> bytes:
    """Return what a file of at most `limit` bytes holds; never waits, as reading a pipe would.

    Raises:
        OSError: it is missing, or the system cannot read it.
        ValueError: it is no file but a folder, a pipe or a device, or it is larger.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file, but a folder, a pipe or a device")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path} has more than the {limit:,} bytes that it may have")
    return data


def read_json_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the JSON object that a small file holds.

    Raises:
        OSError, ValueError: as for `read_small_file`, or it holds something else.
    """
    try:
        value = json.loads(read_small_file(path))
    except RecursionError:  # thousands of brackets
        raise ValueError(f"{path} is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__}, not an object")
    return value
