"""One file of TensorBoard events."""

import io
import itertools
import os
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from ...run.machine import host_name
from .appended import AppendedFile

_numbers = itertools.count()


class EventFile:
    """Appends events to a new file, in the caller's thread.

    TensorBoard's own writer hands each event to a thread, which then takes the interpreter from the training: for the
    few numbers of a step this costs more than writing them. Its files end for a reader at the first half event, so
    events are written whole or wait for the next time.

    Args:
        folder: made, like the file, at the first `push`.
        filename_suffix: the end of the file's name.
    """

    def __init__(self, folder: str | os.PathLike[str], filename_suffix: str = "") -> None:
        number = next(_numbers)
        name = f"events.out.tfevents.{int(time.time()):010d}.{host_name()}.{os.getpid()}.{number:05d}"
        version = _record(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._file = AppendedFile(Path(folder, name + filename_suffix), version, _make_folder)

    def add(self, **event: Any) -> None:
        """Let one event wait: the fields of TensorBoard's Event, such as ``step`` and ``summary``; now is its time."""
        self._file.add(_record(Event(wall_time=time.time(), **event)))

    def push(self) -> None:
        """Let readers see the events.

        Raises:
            OSError: the disk is full, or the folder cannot be made; the events wait for the next time.
        """
        self._file.push()

    def flush(self) -> None:
        """Wait until the events are on the disk."""
        self._file.push()
        self._file.flush()

    def close(self) -> None:
        """Close the file, durably."""
        self._file.close()


def _record(event: Event) -> bytes:
    """Return an event with its length and checksums."""
    record = io.BytesIO()
    RecordWriter(record).write(event.SerializeToString())
    return record.getvalue()


def _make_folder(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
