"""Measures the time of the steps."""

import datetime
import logging
import time

from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class IterationTimer(HookBase):
    """Records the seconds of each step as "time"; at the end, logs the total time and the part of the hooks.

    A step's time is from this hook's `before_step` to its `after_step`. Register it first, so that the time does not
    include the `after_step` of other hooks.

    Args:
        warmup_iter: recording starts at this step of the run, counted from 1: the first steps are slow.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        self._warmup_iter = warmup_iter

    def before_train(self) -> None:
        """Start the clock."""
        self._train_start = self._step_start = time.perf_counter()
        self._measured = 0.0
        self._measured_since: float | None = None

    def before_step(self) -> None:
        """Start the clock of the step."""
        self._step_start = time.perf_counter()

    def after_step(self) -> None:
        """Record the time of the step."""
        now = time.perf_counter()
        done = self.trainer.iter - self.trainer.start_iter + 1
        if done >= self._warmup_iter:
            seconds = now - self._step_start
            self._measured += seconds
            if self._measured_since is None:
                self._measured_since = self._step_start
            self.trainer.storage.put_scalar("time", seconds)

    def after_train(self) -> None:
        """Log the speed without the hooks, and the total time with them."""
        now = time.perf_counter()
        steps = self.trainer.completed_iter + 1 - self.trainer.start_iter - (self._warmup_iter - 1)
        if steps > 0 and self._measured > 0:
            logger.info(
                "Overall training speed: %d iterations in %s (%.4f s / it)",
                steps,
                _readable(self._measured),
                self._measured / steps,
            )
        on_hooks = now - (self._measured_since or now) - self._measured
        logger.info("Total training time: %s (%s on hooks)", _readable(now - self._train_start), _readable(on_hooks))


def _readable(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))
