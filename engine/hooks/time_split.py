"""Where the time of a step goes."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

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

    On CUDA the times are the device's own, taken by events, which are read when the period ends: in "data" and "hooks"
    it waits for the host, and what the host does meanwhile costs nothing. Each process measures itself; written is what
    the main one did. Register it early, in every process or in one.

    Args:
        period: steps between two records; 0 records the last step's only.
    """

    def __init__(self, period: int = 20) -> None:
        self._period = period
        self._undo: list[Callable[[], object]] = []

    def before_train(self) -> None:
        """Attach to the model, the optimizer and the loader."""
        self.trainer.storage.volatile |= {f"time/{phase}" for phase in PHASES}
        trainer: Any = self.trainer
        parameter = next(trainer.model.parameters(), None)
        self._clock = _DeviceClock() if parameter is not None and parameter.is_cuda else _HostClock()
        self._is_inside = False
        steps = getattr(trainer, "_trainer", trainer)  # a DefaultTrainer's steps are those of another one
        self._wrap_next_batch(steps)
        # A compiled model takes its hooks into its graph, where a mark of the device is not made in its place.
        enter = torch.compiler.disable(self._enter) if trainer.model._compiled_call_impl else self._enter
        self._undo += [
            trainer.model.register_forward_pre_hook(lambda *_: enter("forward")).remove,
            trainer.model.register_forward_hook(lambda *_: enter("backward")).remove,
            trainer.optimizer.register_step_pre_hook(lambda *_: self._enter("optimizer")).remove,
            trainer.optimizer.register_step_post_hook(lambda *_: self._enter("hooks")).remove,
        ]

    def before_step(self) -> None:
        """Count what follows, up to the loader, as hooks."""
        self._is_inside = True
        if not self._clock.is_running:
            self._clock.enter("hooks")
            self._first = self.trainer.iter

    def after_backward(self) -> None:
        """Count what follows, up to the optimizer, as hooks."""
        self._enter("hooks")

    def after_step(self) -> None:
        """End the step; record its parts, if it is time."""
        self._enter("hooks")
        self._is_inside = False  # an evaluation also calls the model
        if self.every(self._period) or self.trainer.iter + 1 == self.trainer.max_iter:
            seconds = self._clock.read()
            steps = self.trainer.iter + 1 - self._first
            self._first = self.trainer.iter + 1
            for phase in PHASES:
                self.trainer.storage.put_scalar(f"time/{phase}", seconds[phase] / steps, smoothing_hint=False)

    def after_train(self) -> None:
        """Detach from everything."""
        while self._undo:
            self._undo.pop()()

    def _enter(self, phase: str) -> None:
        if self._is_inside:
            self._clock.enter(phase)

    def _wrap_next_batch(self, steps: Any) -> None:
        next_batch = steps.next_batch

        def timed() -> Any:
            self._enter("data")
            return next_batch()

        vars(steps)["next_batch"] = timed  # hides the method until it is taken away
        self._undo.append(lambda: vars(steps).pop("next_batch"))


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
