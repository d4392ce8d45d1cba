"""Copies the next batch to the GPU while the GPU computes the current step."""

from collections.abc import Iterator
from typing import Any

import torch

from steploop.config import CfgNode, resolve_device

from .batch_tensors import move_batch, tensors_of
from .forwarding import ForwardingLoader
from .loader import TrainLoader


def prefetched(loader: TrainLoader, cfg: CfgNode) -> "TrainLoader | Prefetcher":
    """Return the loader; if MODEL.DEVICE is a GPU, inside a Prefetcher.

    Raises:
        ValueError: MODEL.DEVICE is not available.
    """
    return Prefetcher(loader, resolve_device(cfg.MODEL.DEVICE)) if is_on_gpu(cfg) else loader


def is_on_gpu(cfg: CfgNode) -> bool:
    """Return True if MODEL.DEVICE is a GPU: then a loader should put its batches into pinned memory.

    Raises:
        ValueError: MODEL.DEVICE is not available.
    """
    return resolve_device(cfg.MODEL.DEVICE).type == "cuda"


class Prefetcher(ForwardingLoader):
    """A loader whose batches are on a CUDA device.

    While the model computes a batch, the next one is copied on a separate stream. The copy waits for nothing, and only
    the kernels that use the batch wait for it. The loader should put its batches into pinned memory; otherwise the copy
    blocks the process. One batch is read ahead; a resumed run is not affected, because it seeks the loader to its step.
    An error of the loader is raised when its batch is requested, not earlier.

    Args:
        loader: an endless loader; its batches are tensors in any containers, see `move_batch`.
        device: a CUDA device; without an index, the process's current one.
    """

    def __init__(self, loader: TrainLoader, device: torch.device) -> None:
        super().__init__(loader)
        self.device = device
        self._batches: _Ahead | None = None
        # One stream for all iterators: torch's allocator reuses memory only within the stream that allocated it.
        self._stream: torch.cuda.Stream | None = None

    def __iter__(self) -> Iterator[Any]:
        self.close()
        batches = iter(self.loader)
        self._stream = self._stream or torch.cuda.Stream(self.device)
        self._batches = _Ahead(batches, self.device, self._stream)
        return self._batches

    def close(self) -> None:
        """End the running iterator and the loader's workers. The loader can be iterated over again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None
        super().close()


class _Ahead(Iterator[Any]):
    """An iterator that reads one batch ahead of its caller."""

    def __init__(self, batches: Iterator[Any], device: torch.device, stream: torch.cuda.Stream) -> None:
        self._batches = batches
        self._device = device
        self._stream = stream
        self._fetched: tuple[Any, Exception | None] | None = None

    def __next__(self) -> Any:
        batch, error = self._fetched or self._fetch()
        self._fetched = None
        if error is not None:
            raise error
        stream = torch.cuda.current_stream(self._device)
        stream.wait_stream(self._stream)
        # Another stream allocated the tensors. Without this, the allocator would reuse their memory for a later batch
        # as soon as they are deleted, although kernels of this stream may still read it.
        for tensor in tensors_of(batch):
            tensor.record_stream(stream)
        self._fetched = self._fetch()
        return batch

    def close(self) -> None:
        self._fetched = None  # from now on, `__next__` gets the error of the closed loader

    def _fetch(self) -> tuple[Any, Exception | None]:
        """Read a batch and start its copy; return it, or the error to raise when this batch is requested."""
        try:
            batch = next(self._batches)
        except Exception as error:
            return None, error
        with torch.cuda.stream(self._stream):
            return move_batch(batch, self._device), None
