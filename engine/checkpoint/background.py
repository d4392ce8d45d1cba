"""Saves beside the training: the loop waits for a copy of the state, a thread writes it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch

from .plain import map_tensors

logger = logging.getLogger(__name__)


class KeptBuffers:
    """Copies the tensors of a state into CPU memory that is kept for the next time.

    Allocating (and for CUDA pinning) is what makes a copy slow; a state has the same sizes at each save. The memory is
    that of one state.
    """

    def __init__(self) -> None:
        self._buffers: list[torch.Tensor] = []

    def copy(self, plain: Any) -> Any:
        """Return `plain` with its tensors copied; what shared a storage shares its copy. Overwrites the last copy."""
        copies: dict[tuple, torch.UntypedStorage] = {}
        devices: set[torch.device] = set()

        def copy_tensor(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            key = (storage.device, storage.data_ptr(), storage.nbytes())
            if key not in copies:
                copies[key] = self._fill(len(copies), storage)
                devices.add(storage.device)
            place = torch.empty(0, dtype=tensor.dtype)
            return place.set_(copies[key], tensor.storage_offset(), tensor.size(), tensor.stride())

        result = map_tensors(plain, copy_tensor)
        del self._buffers[len(copies) :]
        for device in devices:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        return result

    def _fill(self, index: int, storage: torch.UntypedStorage) -> torch.UntypedStorage:
        from_cuda = storage.device.type == "cuda"
        if index == len(self._buffers):
            self._buffers.append(torch.empty(0, dtype=torch.uint8))
        if self._buffers[index].nbytes != storage.nbytes() or self._buffers[index].is_pinned() != from_cuda:
            self._buffers[index] = torch.empty(storage.nbytes(), dtype=torch.uint8, pin_memory=from_cuda)
        source = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        self._buffers[index].copy_(source, non_blocking=from_cuda)
        return self._buffers[index].untyped_storage()


class BackgroundTask:
    """Runs one function at a time in a thread of its own, and keeps its error for who asks.

    The thread lives as long as its function. It is no daemon: an interpreter that ends waits for it, so that what was
    begun becomes durable.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, function: Callable[[], None], name: str) -> None:
        """Wait for the task before, raise its error if it failed, then run `function` in a thread called `name`."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(function,), name=name, daemon=False)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the task in flight, and raise the error of the last one, once.

        Raises:
            Exception: what the function raised.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            # Told at once, because who waits may come much later.
            logger.error("%s failed: %s", threading.current_thread().name, error)
            self._error = error
