"""Files of a run: written completely or not at all; small files are read safely, whatever is in the folder."""

import contextlib
import errno
import json
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

# No other program uses this suffix, so cleaning never removes another program's file.
_TEMPORARY = re.compile(r"^\..+\.\d+\.steploop-tmp$")


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Write a file such that no reader sees a part of it, and it survives a power cut once this returns.

    Write a temporary file in the same folder, flush it to the disk and rename it; then flush the folder, because the
    new name is stored there. On an error, the temporary file is removed and an older file of that name is unchanged.

    Args:
        path: the file to create or replace.
        write: called with the temporary file, open for writing.

    Raises:
        OSError: the disk is full, the folder is read-only or missing.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.steploop-tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 like `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json_atomically(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON like `write_atomically`: what any reader of JSON can read (see `to_json`)."""
    write_text_atomically(path, json.dumps(to_json(value), indent=2, allow_nan=False) + "\n")


def to_json(value: Any) -> Any:
    """Return what JSON can say of a value.

    NaN and infinities, which JSON does not have, become null; numbers of numpy and torch become numbers, their arrays
    lists; keys become str, and whatever else there is its text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if callable(getattr(value, "tolist", None)):  # numpy and torch, which this module does not import
        return to_json(value.tolist())
    return str(value)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Flush a folder's entries (new and renamed files) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; this error is the only way to find out.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def clean_temporary(folder: str | os.PathLike[str]) -> list[str]:
    """Remove the temporary files that killed runs left in `folder`, and return their names.

    Call it only in the process that has the folder's lock and is not saving: a save in progress would lose its file.
    """
    leftovers = [entry for entry in Path(folder).iterdir() if _TEMPORARY.match(entry.name)]
    for entry in leftovers:
        entry.unlink(missing_ok=True)
    return sorted(entry.name for entry in leftovers)


def read_small_file(path: str | os.PathLike[str], limit: int = 2**20) -> bytes:
    """Return the content of a file of at most `limit` bytes; never blocks, as reading a pipe would.

    Raises:
        OSError: the file is missing, or the system cannot read it.
        ValueError: it is not a file but a folder, a pipe or a device, or it is larger.
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
    """Return the JSON object in a small file.

    Raises:
        OSError, ValueError: as for `read_small_file`; ValueError also if the content is not a JSON object.
    """
    try:
        value = json.loads(read_small_file(path))
    except RecursionError:  # thousands of brackets
        raise ValueError(f"{path} is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__}, not an object")
    return value
