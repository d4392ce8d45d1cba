"""One file of TensorBoard events."""

import itertools
import os
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from ...run.machine import host_name

_numbers = itertools.count()


class EventFile:
    """Appends events to a new file, in the caller's thread.

    TensorBoard's own writer hands each event to a thread, which then takes the interpreter from the training: for the
    few numbers of a step this costs more than writing them. Each event is visible to readers at once.

    Args:
        folder: made if it is missing.
        filename_suffix: the end of the file's name.
    """

    def __init__(self, folder: str | os.PathLike[str], filename_suffix: str = "") -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        number = next(_numbers)
        name = f"events.out.tfevents.{int(time.time()):010d}.{host_name()}.{os.getpid()}.{number}"
        self._file = Path(folder, name + filename_suffix).open("wb")  # noqa: SIM115  # until close()
        self._records = RecordWriter(self._file)
        self.add(file_version="brain.Event:2")

    def add(self, **event: Any) -> None:
        """Write one event: the fields of TensorBoard's Event, such as ``step`` and ``summary``; now is its time."""
        self._records.write(Event(wall_time=time.time(), **event).SerializeToString())
        self._file.flush()

    def flush(self) -> None:
        """Wait until the events are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
