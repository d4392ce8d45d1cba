"""An iterator over the batches of worker processes that always ends its workers."""

import atexit
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

# Seconds in which workers may end by themselves. A worker can hang in a sample, for example on a failing disk.
GRACE = 5.0


class Batches(Iterator[Any]):
    """An iterator of DataLoader whose workers end when it is closed, fails or is exhausted, or when the program ends.

    torch asks its workers to end, waits 5 seconds for each and sends SIGTERM, which steploop's workers ignore (a
    scheduler sends it to every process, and the main one decides what it means). So a stuck worker is killed here.
    """

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches: Iterator[Any] | None = batches
        self._workers = list(getattr(batches, "_workers", ()))
        if self._workers:
            # Registered after multiprocessing's own handler and so called before it, which would join the workers.
            self._at_exit = _Close(weakref.ref(self))
            atexit.register(self._at_exit)

    def __next__(self) -> Any:
        if self._batches is None:
            raise RuntimeError("this iterator was closed, by an error, close() or a newer one: iterate over the loader")
        try:
            return next(self._batches)
        except BaseException:  # also Ctrl-C: a traceback would keep the workers alive
            self.close()
            raise

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the workers within a little more than `GRACE` seconds. A second call does nothing."""
        batches, self._batches = self._batches, None
        if batches is None or not self._workers:
            return
        atexit.unregister(self._at_exit)
        # torch watches its workers' deaths, and would raise an error in the main thread for one that is killed here.
        if batches._worker_pids_set:  # type: ignore[attr-defined]  # False where the batches are exhausted
            signal_handling._remove_worker_pids(id(batches))
            batches._worker_pids_set = False  # type: ignore[attr-defined]
        timer = threading.Timer(GRACE, self._kill)
        timer.daemon = True
        timer.start()
        try:
            batches._shutdown_workers()  # type: ignore[attr-defined]
        finally:
            timer.cancel()
            timer.join()
            self._kill()
            for worker in self._workers:
                worker.join()

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.is_alive():
                worker.kill()


class _Close:
    """Closes an iterator at the end of the program; the weak reference does not keep it alive until then."""

    def __init__(self, batches: "weakref.ref[Batches]") -> None:
        self._batches = batches

    def __call__(self) -> None:
        batches = self._batches()
        if batches is not None:
            batches.close()


class WorkerLoader(DataLoader[Any]):
    """torch's DataLoader with iterators that always end their workers."""

    def __iter__(self) -> Any:
        """Return a new iterator over the batches."""
        return Batches(super().__iter__())
