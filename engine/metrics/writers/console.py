"""Metrics as lines on the console."""

import datetime
import logging
import time

import torch

from ..events import EventStorage, EventWriter, get_event_storage

# Values that have a place of their own on the line.
_TIMES = ("time", "data_time")


class CommonMetricPrinter(EventWriter):
    """Logs a line with the remaining time, losses and metrics, the times, the learning rate and the memory.

    Values are medians over `window_size` iterations. The epoch and the momentum are shown where a hook records them
    (EpochRecorder; LRScheduler, where the momentum moves).

    Args:
        max_iter: the length of the run, for the remaining time; None leaves it out.
        window_size: iterations over which medians are taken.
    """

    def __init__(self, max_iter: int | None = None, window_size: int = 20) -> None:
        self.logger = logging.getLogger(__name__)
        self._max_iter = max_iter
        self._window_size = window_size
        self._last_write: tuple[int, float] | None = None  # (iteration, when), where no hook measures the time

    def write(self) -> None:
        """Log the line of the current iteration; nothing after the end of a run."""
        storage = get_event_storage()
        if storage.iter == self._max_iter:
            return
        smoothed = storage.latest_with_smoothing_hint(self._window_size)
        latest = storage.latest()
        eta = self._eta(storage, smoothed)
        parts = [f"eta: {eta}"] if eta else []
        epoch, recorded_at = latest.get("epoch", (0.0, -1))
        if recorded_at == storage.iter:
            parts.append(f"epoch: {epoch:.2f}")
        parts.append(f"iter: {storage.iter}")
        shown = dict.fromkeys([*storage.headlines, *(name for name in smoothed if "[metric]" in name)])
        parts += [f"{name}: {smoothed[name][0]:.4g}" for name in shown if name in smoothed]
        for name in _TIMES:
            if name in smoothed:
                parts.append(f"{name}: {smoothed[name][0]:.4f}  last_{name}: {latest[name][0]:.4f}")
        if "lr" in latest:
            parts.append(f"lr: {latest['lr'][0]:.5g}")
        if "momentum" in latest:
            parts.append(f"momentum: {latest['momentum'][0]:.5g}")
        if memory := _peak_memory():
            parts.append(memory)
        self.logger.info("  ".join(parts))

    def _eta(self, storage: EventStorage, smoothed: dict[str, tuple[float, int]]) -> str:
        if self._max_iter is None:
            return ""
        seconds = None
        if "time" in smoothed:
            seconds = smoothed["time"][0] * (self._max_iter - storage.iter - 1)
            storage.put_scalar("eta_seconds", seconds, smoothing_hint=False)
        elif self._last_write is not None and storage.iter > self._last_write[0]:
            each = (time.perf_counter() - self._last_write[1]) / (storage.iter - self._last_write[0])
            seconds = each * (self._max_iter - storage.iter - 1)
        self._last_write = (storage.iter, time.perf_counter())
        return "" if seconds is None else str(datetime.timedelta(seconds=int(seconds)))


def _peak_memory() -> str:
    """Return the largest memory so far: the GPU's, or else this process's."""
    if torch.cuda.is_initialized():
        return f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
    try:
        import resource
    except ImportError:  # not a Unix
        return ""
    return f"max_mem: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f}M"
