"""Writes plain data as a checkpoint file."""

import os
from typing import Any, BinaryIO

import torch

from ..run.files import write_atomically


def write_checkpoint(path: str | os.PathLike[str], plain: dict[str, Any]) -> None:
    """Write the result of `to_plain` with torch.save, atomically and durably.

    Raises:
        OSError: the disk is full, or the folder is read-only or missing; an older file of that name is unchanged.
    """

    def write(file: BinaryIO) -> None:
        keeper = _FirstError(file)
        torch.save(plain, keeper)  # type: ignore[arg-type]  # it asks for write and flush only
        if keeper.error is not None:
            raise keeper.error

    write_atomically(path, write)


class _FirstError:
    """Stores the first OSError of a write, because torch's zip writer replaces it with an unrelated RuntimeError."""

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
        """Do nothing: `write_atomically` flushes the file at the end, and raises its errors."""
