"""Where the time of a step goes."""

import time
from collections import defaultdict
from typing import Any

import torch

from steploop.config.device import device_of

from ..train_loop import HookBase

PHASES = ("data", "forward", "backward", "optimizer", "hooks")


class TimeSplit(HookBase):
    """Records how the time of a step divides, as "time/data", "time/forward" and so on: seconds, means of a period.

    The parts of a step add up to the time from one of its hook's `after_step` to the next, so that nothing is left out:

    - data: waiting for the loader
    - forward: the model's call
    - backward: from its end to the gradients; the sum of the losses and, with several processes, their exchange
    - optimizer: its step
    - hooks: everything else: evaluations, checkpoints and writing of the step before included

    The trainer is a SimpleTrainer, which tells its `phase_clock` where it is; a `run_step` of its own must do so too.
    On CUDA the times are the device's own, taken by events, which are read when the period ends: in "data" and "hooks"
    it waits for the host, and what the host does meanwhile costs nothing. Each process measures itself; the times of
    the main one are written. Register it early, in every process or in one.

    Args:
        period: steps between two records; 0 records the last step's only.
    """

    trainer: Any  # a SimpleTrainer

    def __init__(self, period: int = 20) -> None:
        self._period = period

    def before_train(self) -> None:
        """Give the trainer the clock."""
        self.trainer.storage.volatile |= {f"time/{phase}" for phase in PHASES}
        self._clock = _DeviceClock() if device_of(self.trainer.model).type == "cuda" else _HostClock()
        self.trainer.phase_clock = self._clock

    def before_step(self) -> None:
        """Count what follows, up to the loader, as hooks."""
        if not self._clock.is_running:
            self._clock.enter("hooks")
            self._first = self.trainer.iter

    def after_step(self) -> None:
        """End the step; record its parts, if it is time."""
        self._clock.enter("hooks")
        if self.every(self._period) or self.trainer.iter + 1 == self.trainer.max_iter:
            seconds = self._clock.read()
            steps = self.trainer.iter + 1 - self._first
            self._first = self.trainer.iter + 1
            for phase in PHASES:
                self.trainer.storage.put_scalar(f"time/{phase}", seconds[phase] / steps, smoothing_hint=False)

    def after_train(self) -> None:
        """Take the clock back."""
        self.trainer.phase_clock = None


class _HostClock:
    """Adds up the time between one `enter` and the next."""

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
    """The same on the GPU: marks its stream, and looks at the marks when it is read."""

    # Marks that may wait to be read; more are read at once, which waits for the device.
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
