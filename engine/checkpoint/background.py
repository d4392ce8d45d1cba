"""Parts of an asynchronous save: the training waits only for a copy of the state, and a thread writes it."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch

from steploop.config.nested import map_tensors

logger = logging.getLogger(__name__)


class KeptBuffers:
    """Copies the tensors of a state into CPU memory, which the next copy uses again.

    Allocating memory (and for CUDA, pinning it) is the slow part of a copy, and a state has the same sizes at each
    save. The buffers take the memory of one state.
    """

    def __init__(self) -> None:
        self._buffers: list[torch.Tensor] = []
        self._views: list[torch.Tensor] = []

    def copy(self, plain: Any) -> Any:
        """Return `plain` with its tensors copied, shared storages copied once. Overwrites the last copy."""
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
        # Copy all data after the walk of the tree: a copy evicts the CPU's cache, which slows the Python code above.
        for copy, tensor in to_fill:
            copy.copy_(tensor, non_blocking=True)
        del self._buffers[len(copies) :]
        for device in {device for device, *_ in copies if device.type == "cuda"}:
            torch.cuda.synchronize(device)
        return result

    def _room(self, index: int, nbytes: int, *, pinned: bool) -> torch.UntypedStorage:
        """Return the stored buffer of the `index`-th copy; a new one if its size or kind (pinned or not) differs."""
        if index == len(self._buffers):
            self._buffers.append(torch.empty(0, dtype=torch.uint8))
        if self._buffers[index].nbytes != nbytes or self._buffers[index].is_pinned() != pinned:
            self._buffers[index] = torch.empty(nbytes, dtype=torch.uint8, pin_memory=pinned)
        return self._buffers[index].untyped_storage()


def _view(storage: torch.UntypedStorage, like: torch.Tensor, earlier: torch.Tensor | None) -> torch.Tensor:
    """Return a view of `storage` with the dtype, offset, shape and stride of `like`; `earlier` if it is that view."""
    place = (like.dtype, like.storage_offset(), like.shape, like.stride())
    if (
        earlier is not None
        and (earlier.dtype, earlier.storage_offset(), earlier.shape, earlier.stride()) == place
        and earlier.untyped_storage().data_ptr() == storage.data_ptr()
    ):
        return earlier  # making a view costs more than these comparisons
    view = torch.empty(0, dtype=like.dtype)
    return view.set_(storage, like.storage_offset(), like.size(), like.stride())


def _whole(copy: torch.Tensor, tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both as views of their whole storages, because another tensor may use the part that this one does not."""
    if tensor.is_contiguous() and tensor.nbytes == tensor.untyped_storage().nbytes():
        return copy, tensor  # in its own dtype torch copies faster than as bytes
    return _all_bytes(copy), _all_bytes(tensor)


def _all_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())


class BackgroundTask:
    """Runs one function at a time in a background thread. `wait` joins the thread and re-raises its exception.

    The thread ends with its function. It is not a daemon thread: the interpreter waits for it at exit, so that a save
    in progress is completed.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, function: Callable[[], None], name: str) -> None:
        """Wait for the previous task, raise its error if it failed, then run `function` in a thread called `name`."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(function,), name=name, daemon=False)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the current task; if it failed, raise its error, once.

        Raises:
            Exception: the one that the function raised.
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
            # Logged at once, because `wait` may be called much later.
            logger.error("%s failed: %s", threading.current_thread().name, error)
            self._error = error
