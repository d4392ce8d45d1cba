"""Saves beside the training: the loop waits for a copy of the state, a thread writes it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch

from steploop.config.nested import map_tensors

logger = logging.getLogger(__name__)


class KeptBuffers:
    """Copies the tensors of a state into CPU memory that is kept for the next time.

    Allocating (and for CUDA pinning) is what makes a copy slow; a state has the same sizes at each save. The memory is
    that of one state.
    """

    def __init__(self) -> None:
        self._buffers: list[torch.Tensor] = []
        self._views: list[torch.Tensor] = []

    def copy(self, plain: Any) -> Any:
        """Return `plain` with its tensors copied; what shared a storage shares its copy. Overwrites the last copy."""
        copies: dict[tuple, torch.UntypedStorage] = {}
        to_fill: list[tuple[torch.Tensor, torch.Tensor]] = []
        earlier, self._views = self._views, []

        def copy_tensor(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            key = (storage.device, storage.data_ptr(), storage.nbytes())
            is_first = key not in copies
            if is_first:
                copies[key] = self._room(len(copies), storage.nbytes(), pinned=tensor.is_cuda)
            number = len(self._views)
            copy = _view(copies[key], tensor, earlier[number] if number < len(earlier) else None)
            self._views.append(copy)
            if is_first:
                to_fill.append(_whole(copy, tensor))
            return copy

        result = map_tensors(copy_tensor, plain)
        # Afterwards and in one go: between two copies, what is above would run from a cold cache.
        for copy, tensor in to_fill:
            copy.copy_(tensor, non_blocking=True)
        del self._buffers[len(copies) :]
        for device in {device for device, *_ in copies if device.type == "cuda"}:
            torch.cuda.synchronize(device)
        return result

    def _room(self, index: int, nbytes: int, *, pinned: bool) -> torch.UntypedStorage:
        """Return the storage kept for the `index`-th copy; a new one if that is of another size or kind."""
        if index == len(self._buffers):
            self._buffers.append(torch.empty(0, dtype=torch.uint8))
        if self._buffers[index].nbytes != nbytes or self._buffers[index].is_pinned() != pinned:
            self._buffers[index] = torch.empty(nbytes, dtype=torch.uint8, pin_memory=pinned)
        return self._buffers[index].untyped_storage()


def _view(storage: torch.UntypedStorage, like: torch.Tensor, earlier: torch.Tensor | None) -> torch.Tensor:
    """Return a view of `storage` that lies in it as `like` lies in its own; the `earlier` one if that is it already."""
    place = (like.dtype, like.storage_offset(), like.shape, like.stride())
    if (
        earlier is not None
        and (earlier.dtype, earlier.storage_offset(), earlier.shape, earlier.stride()) == place
        and earlier.untyped_storage().data_ptr() == storage.data_ptr()
    ):
        return earlier  # a view costs more to make than all that is asked here
    view = torch.empty(0, dtype=like.dtype)
    return view.set_(storage, like.storage_offset(), like.size(), like.stride())


def _whole(copy: torch.Tensor, tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both such that they cover their storages, of one size: what a view leaves out, another may see."""
    if tensor.is_contiguous() and tensor.nbytes == tensor.untyped_storage().nbytes():
        return copy, tensor  # torch copies words a sixth faster than bytes
    return _all_bytes(copy), _all_bytes(tensor)


def _all_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


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
