"""Many small records in one buffer that all workers of a loader share."""

import hashlib
import io
import pickle
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from .items import Items

T = TypeVar("T")


class SharedRecords(Items[T]):
    """A sequence of records, stored pickled in one tensor; a record is unpickled when it is read.

    Python objects contain reference counts, so a forked worker that only reads a list writes to its memory pages, which
    the kernel then copies: in the end each worker has a copy of the list. Nothing writes into this buffer, so forked
    workers share it, and spawned ones get it in shared memory. Each access returns a new object, which may be changed.
    docs/performance.md has the cost of an access.

    Args:
        records: dicts, lists, tuples, named tuples, dataclasses, numbers, strings, arrays and CPU tensors. They are
            read one by one, so a generator of a million records never has all of them in memory as objects.

    Raises:
        TypeError: a record cannot be pickled.
    """

    def __init__(self, records: Iterable[T]) -> None:
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, 5)
        # Without references to earlier objects, equal records have equal bytes, whichever objects they share.
        pickler.fast = True
        ends = [0]
        for index, record in enumerate(records):
            try:
                pickler.dump(record)
            except Exception as error:  # pickle raises PicklingError, TypeError, AttributeError, RecursionError, ...
                raise TypeError(
                    f"record {index}, {record!r:.200}, cannot be stored: {error}; expected plain data such as dicts of "
                    "numbers, strings, lists and arrays, or a Sequence of your own in place of a list"
                ) from error
            ends.append(buffer.tell())
        # Tensors, because torch moves them to shared memory when they are sent to a spawned process.
        self._buffer = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8) if ends[-1] else torch.empty(0).byte()
        self._ends = torch.tensor(ends, dtype=torch.int64)
        self._views: tuple[int, np.ndarray, memoryview] | None = None

    def item_at(self, index: int) -> T:
        """Return a new copy of a record."""
        # The views are made once: to read a tensor costs more than a record. But torch moves both tensors to shared
        # memory when they are sent to another process, and a view would still point to where they were.
        place = self._ends.data_ptr() ^ self._buffer.data_ptr()
        if self._views is None or self._views[0] != place:
            self._views = place, self._ends.numpy(), self._buffer.numpy().data
        _, ends, buffer = self._views
        return pickle.loads(buffer[ends[index] : ends[index + 1]])  # noqa: S301  # written by this process

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_views": None}  # a view would be copied, in place of the shared memory

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def nbytes(self) -> int:
        """Size of the buffer and its index, in bytes."""
        return self._buffer.nbytes + self._ends.nbytes

    def fingerprint(self) -> str:
        """Return a hash of the content of all records.

        Sets of strings have a different order in each process, and so a different hash: store sorted lists instead.
        """
        digest = hashlib.sha256(self._ends.numpy().tobytes())
        digest.update(self._buffer.numpy().data)
        return digest.hexdigest()[:16]


def as_records(items: Sequence[Any]) -> Sequence[Any]:
    """Return a list or tuple as SharedRecords; a sequence of another type is returned unchanged."""
    return SharedRecords(items) if type(items) in (list, tuple) else items


class _Pickler(pickle.Pickler):
    """Writes tensors as arrays: torch's own pickles are ten times as large, and differ between processes."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, torch.Tensor):
            return NotImplemented
        return torch.from_numpy, (obj.detach().numpy(),)
