"""Writes plain data as a checkpoint file."""

import os
from typing import Any, BinaryIO

import torch

from ..run.files import write_atomically


def write_checkpoint(path: str | os.PathLike[str], plain: dict[str, Any]) -> None:
    """Write what `to_plain` returned with torch.save, atomically and durably.

    Raises:
        OSError: the disk is full, the folder is read-only or missing; an older file of that name is still whole.
    """

    def write(file: BinaryIO) -> None:
        keeper = _FirstError(file)
        torch.save(plain, keeper)  # type: ignore[arg-type]  # it asks for write and flush only
        if keeper.error is not None:
            raise keeper.error

    write_atomically(path, write)


class _FirstError:
    """Keeps the OSError of a write for afterwards: torch's zip writer makes an unrelated RuntimeError of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing: the file is flushed, with its errors, when all is written."""
