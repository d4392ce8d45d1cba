"""Runs that end before their time, and can be taken up again."""

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from ..distributed.spawn import SAME_SIGNAL_SECONDS
from ..train_loop import HookBase

logger = logging.getLogger(__name__)

# What a run that was interrupted, and saved, ends with: "temporary failure, try again" in sysexits.h.
REQUEUE_EXIT_CODE = os.EX_TEMPFAIL

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopOnSignal(HookBase):
    """Ends the run in good order at SIGTERM, SIGINT (Ctrl-C) or SIGUSR1 (a scheduler's warning).

    The step in flight is finished, all processes agree on the same step, a checkpoint is written and the writers are
    closed. A second signal ends the process at once, as if nobody had handled it; checkpoints stay whole then too.
    Schedulers send the same signal twice in a moment: within half a second, two count as one.

    Signals can be handled in the main thread only; elsewhere this hook does nothing. One that is ignored (SIGINT in a
    process that another one spawned, which hands it on) stays so.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._first: float | None = None

    def before_train(self) -> None:
        """Take over the signals."""
        if threading.current_thread() is threading.main_thread():
            self._first = None
            self._give_back()  # what an earlier run kept, because a signal ended it
            handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in handled}

    def after_train(self) -> None:
        """Give the signals back, unless one came: its twin must not end the process while that saves."""
        if self._first is None:
            self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._first is not None:
            if time.monotonic() - self._first > SAME_SIGNAL_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self._first = time.monotonic()
        name = signal.Signals(number).name
        # No logging here: the signal may have interrupted a handler of it, which holds its lock.
        hint = f"\n{name}: finishing this step and saving; once more ends at once\n"
        os.write(2, hint.encode())
        self.trainer.request_stop(f"signal {name}", requeue=True)


class TimeLimit(HookBase):
    """Ends the run in good order after some time, so that it can be taken up again.

    Args:
        seconds: counted from the start of the training.

    Raises:
        ValueError: the limit is not positive.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"a time limit is a positive number of seconds; got {seconds}")
        self._seconds = seconds

    def before_train(self) -> None:
        """Start the clock."""
        self._end = time.monotonic() + self._seconds

    def after_step(self) -> None:
        """Ask for a stop when the time is over."""
        if time.monotonic() >= self._end:
            self.trainer.request_stop(f"the time limit of {self._seconds:g} s is over", requeue=True)
