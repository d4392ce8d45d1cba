"""A file that grows by whole pieces, also where the disk is full for a while."""

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger(__name__)

# Bytes that may wait for room on the disk; more than that are dropped, the oldest first.
MOST_WAITING = 2**24


class AppendedFile:
    """Appends pieces, such as lines, to a file: a piece is written whole or not at all.

    What the disk does not take waits in memory, and is written first the next time. A piece that was written in part is
    cut off again, because a reader would take the half of it for damage.

    Args:
        path: opened at the first `push`.
        header: the first piece of a new file.
        prepare: called with the path before it is opened.
    """

    def __init__(
        self, path: str | os.PathLike[str], header: bytes = b"", prepare: Callable[[Path], None] | None = None
    ) -> None:
        self.path = Path(path)
        self._header = header
        self._prepare = prepare
        self._waiting: deque[bytes] = deque()
        self._num_waiting = 0
        self._file: BinaryIO | None = None
        self._end = 0  # of the last whole piece

    def open(self) -> BinaryIO:
        """Return the open file.

        Raises:
            OSError: it cannot be opened.
        """
        if self._file is None:
            if self._prepare is not None:
                self._prepare(self.path)
            # No buffer: one would hold a part of what failed, and write it later at the wrong place.
            self._file = self.path.open("ab", buffering=0)
            self._end = self._file.tell()
        return self._file

    def add(self, piece: bytes) -> None:
        """Let a piece wait for the next `push`."""
        self._waiting.append(piece)
        self._num_waiting += len(piece)
        dropped = 0
        while self._num_waiting > MOST_WAITING and len(self._waiting) > 1:
            self._num_waiting -= len(self._waiting.popleft())
            dropped += 1
        if dropped:
            logger.error("%s: the oldest of what could not be written was dropped (%d pieces)", self.path, dropped)

    def push(self) -> None:
        """Hand what waits to the operating system: a reader sees it, and the disk is not waited for.

        Raises:
            OSError: there is no room, or the file cannot be opened; what waits goes on waiting.
        """
        file = self.open()
        data = memoryview((b"" if self._end else self._header) + b"".join(self._waiting))
        if not data:
            return
        if file.tell() != self._end:  # a half piece that could not be cut off
            self._cut(file)
        try:
            done = 0
            while done < len(data):
                done += file.write(data[done:])
        except OSError:
            with contextlib.suppress(OSError):
                self._cut(file)
            raise
        self._end += len(data)
        self._waiting.clear()
        self._num_waiting = 0

    def flush(self) -> None:
        """Wait until everything is on the disk; a file that was never opened has nothing.

        Raises:
            OSError: see `push`.
        """
        if self._waiting:
            self.push()
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, durably.

        Raises:
            OSError: see `push`; the file is closed, and what waits is lost.
        """
        try:
            self.flush()
        finally:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _cut(self, file: BinaryIO) -> None:
        file.truncate(self._end)
        file.seek(self._end)
