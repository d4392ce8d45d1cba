"""Measures the time of each phase of a step."""

import time
from collections import defaultdict
from typing import Any

import torch

from steploop.config.device import device_of

from ..train_loop import HookBase

PHASES = ("data", "forward", "backward", "optimizer", "hooks")


class TimeSplit(HookBase):
    """Records the mean time of each phase of a step, in seconds, as "time/data", "time/forward" and so on.

    The phases add up to the time from one `after_step` of this hook to the next, so no time is missing:

    - data: waiting for the loader
    - forward: the call of the model
    - backward: the sum of the losses, the backward pass and, with several processes, the reduction of the gradients
    - optimizer: its step
    - hooks: everything else, with the evaluations, checkpoints and writing of the previous step

    The trainer is a SimpleTrainer, which calls `phase_clock.enter` at each phase; a subclass with its own `run_step`
    must do so too. On CUDA the times are measured on the device, by events that are read at the end of the period: in
    "data" and "hooks" the device waits for the host, and work of the host that overlaps with the device is not counted.
    Each process measures its own times; those of the main process are written. Register the hook early, in every
    process or in the main one.

    Args:
        period: steps between two records; 0 records only the last step.
    """

    trainer: Any  # a SimpleTrainer

    def __init__(self, period: int = 20) -> None:
        self._period = period

    def before_train(self) -> None:
        """Start a clock and set it as the trainer's `phase_clock`."""
        self.trainer.storage.volatile |= {f"time/{phase}" for phase in PHASES}
        self._clock = _DeviceClock() if device_of(self.trainer.model).type == "cuda" else _HostClock()
        self.trainer.phase_clock = self._clock

    def before_step(self) -> None:
        """Start the first step in the phase "hooks": the other hooks' `before_step` come next."""
        if not self._clock.is_running:
            self._clock.enter("hooks")
            self._first = self.trainer.iter

    def after_step(self) -> None:
        """End the step; record the phases at the end of a period."""
        self._clock.enter("hooks")
        if self.every(self._period) or self.trainer.iter + 1 == self.trainer.max_iter:
            seconds = self._clock.read()
            steps = self.trainer.iter + 1 - self._first
            self._first = self.trainer.iter + 1
            for phase in PHASES:
                self.trainer.storage.put_scalar(f"time/{phase}", seconds[phase] / steps, smoothing_hint=False)

    def after_train(self) -> None:
        """Remove the clock from the trainer."""
        self.trainer.phase_clock = None


class _HostClock:
    """Sums the time between one `enter` and the next, per phase, on the host."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._since = 0.0
        self._seconds: dict[str, float] = defaultdict(float)

    @property
    def is_running(self) -> bool:
        return self._phase is not None

    def enter(self, phase: str) -> None:
        now = time.perf_counter()
        if self._phase is not None:
            self._seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def read(self) -> dict[str, float]:
        """Return the seconds of each phase since the last reading."""
        seconds, self._seconds = self._seconds, defaultdict(float)
        return seconds


class _DeviceClock:
    """The same on the GPU: records CUDA events in its stream, and reads them in `read`."""

    # Limit of unread events, to bound the memory; reading them waits for the device.
    MOST = 4096

    def __init__(self) -> None:
        self._marks: list[tuple[str, torch.cuda.Event]] = []
        self._seconds: dict[str, float] = defaultdict(float)

    @property
    def is_running(self) -> bool:
        return bool(self._marks)

    def enter(self, phase: str) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append((phase, event))
        if len(self._marks) > self.MOST:
            self._sum_up()

    def read(self) -> dict[str, float]:
        """Return the seconds of each phase since the last reading."""
        self._sum_up()
        seconds, self._seconds = self._seconds, defaultdict(float)
        return seconds

    def _sum_up(self) -> None:
        self._marks[-1][1].synchronize()
        for (phase, start), (_, end) in zip(self._marks, self._marks[1:]):
            self._seconds[phase] += start.elapsed_time(end) / 1000
        del self._marks[:-1]
