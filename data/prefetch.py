"""Brings batches to the GPU while it still computes the step before."""

from collections.abc import Iterator
from typing import Any

import torch

from steploop.config import CfgNode, resolve_device

from .batch_tensors import move_batch, tensors_of
from .forwarding import ForwardingLoader
from .loader import TrainLoader


def prefetched(loader: TrainLoader, cfg: CfgNode) -> "TrainLoader | Prefetcher":
    """Return the loader as it is, or, where MODEL.DEVICE is a GPU, in a Prefetcher.

    Raises:
        ValueError: MODEL.DEVICE is not available.
    """
    return Prefetcher(loader, resolve_device(cfg.MODEL.DEVICE)) if is_on_gpu(cfg) else loader


def is_on_gpu(cfg: CfgNode) -> bool:
    """Say whether MODEL.DEVICE is a GPU, for which batches are to be put into pinned memory.

    Raises:
        ValueError: MODEL.DEVICE is not available.
    """
    return resolve_device(cfg.MODEL.DEVICE).type == "cuda"


class Prefetcher(ForwardingLoader):
    """A loader whose batches lie on a CUDA device.

    While a batch is worked on, the next one is copied on a stream of its own. The copy waits for nothing and nothing
    waits for it but the kernels that need it; the loader should put its batches into pinned memory, or the copy makes
    the process wait. One batch is read ahead; as a loader is entered at a step, a resumed run sees no difference. What
    the loader raises for a batch is raised when that batch is asked for, not before.

    Args:
        loader: an endless one; its batches are tensors in any containers, see `move_batch`.
        device: a CUDA device; without an index, the process's current one.
    """

    def __init__(self, loader: TrainLoader, device: torch.device) -> None:
        super().__init__(loader)
        self.device = device
        self._batches: _Ahead | None = None
        # One for all iterators: the memory of a batch stays with its stream.
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
    """An iterator that is one batch ahead of who asks."""

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
        # Another stream allocated the tensors. Without this their memory would be given to a later batch as soon as
        # they are dropped, though kernels still read it.
        for tensor in tensors_of(batch):
            tensor.record_stream(stream)
        self._fetched = self._fetch()
        return batch

    def close(self) -> None:
        self._fetched = None  # what is asked for from now on, the closed loader refuses

    def _fetch(self) -> tuple[Any, Exception | None]:
        """Read a batch and start its copy; return it, or the error that is to be raised in its turn."""
        try:
            batch = next(self._batches)
        except Exception as error:
            return None, error
        with torch.cuda.stream(self._stream):
            return move_batch(batch, self._device), None
