"""Tensors that were measured but not read: copied where they are, moved to the host all at once."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class _Row:
    buffer: Tensor  # (length,)
    cells: list[Tensor]  # its elements as 0-d views, made once: indexing costs more than the copy
    iterations: list[int] = field(default_factory=list)


def check_one_element(name: str, value: Tensor) -> None:
    """Raise ValueError if the scalar `name` came with several elements, or none."""
    if value.numel() != 1:
        raise ValueError(f"a scalar has one element, but {name!r} came with shape {tuple(value.shape)}")


class PendingTensors:
    """Rows of 0-d tensors, one row a name, preallocated on the tensor's device.

    A put is one small copy on the device and never a synchronisation; `read` is one transfer for
    each device, however many values wait. The tensors themselves are never kept, so neither a graph
    nor a later in-place change can reach what was recorded.
    """

    def __init__(self, length: int = 256) -> None:
        self.length = length
        self._rows: dict[str, _Row] = {}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, name: str, value: Tensor, iteration: int) -> None:
        """Copy the only element of `value`.

        Raises:
            ValueError: `value` has more than one element, or its row is full.
        """
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = self._new_row(name, value)
        position = len(row.iterations)
        if position == self.length:
            raise ValueError(f"{self.length} values of {name!r} wait to be read: read them first")
        if value.ndim:
            check_one_element(name, value)
            value = value.reshape(())
        row.cells[position].copy_(value.detach())
        row.iterations.append(iteration)
        self._waiting += 1

    def is_full(self, name: str) -> bool:
        """Say whether the next `put` of this name would find no room."""
        row = self._rows.get(name)
        return row is not None and len(row.iterations) == self.length

    def read(self) -> dict[str, list[tuple[float, int]]]:
        """Return {name: [(value, iteration), ...]} of everything put since the last reading.

        On an accelerator this waits for the work that is queued there.
        """
        waiting = {name: row for name, row in self._rows.items() if row.iterations}
        result: dict[str, list[tuple[float, int]]] = {}
        for device in dict.fromkeys(row.buffer.device for row in waiting.values()):
            rows = {name: row for name, row in waiting.items() if row.buffer.device == device}
            values = iter(torch.cat([row.buffer[: len(row.iterations)] for row in rows.values()]).tolist())
            for name, row in rows.items():
                result[name] = [(next(values), iteration) for iteration in row.iterations]
                row.iterations.clear()
        self._waiting = 0
        return result

    def _new_row(self, name: str, value: Tensor) -> _Row:
        # float64 holds every float32 and float16 exactly, so what is logged is what was computed.
        dtype = torch.float32 if value.device.type == "mps" else torch.float64
        with torch.no_grad():
            buffer = torch.zeros(self.length, dtype=dtype, device=value.device)
            return _Row(buffer, list(buffer.unbind()))
