"""Stops a run early, such that it can be resumed."""

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

# The exit code of a run that was interrupted and has saved: "temporary failure, try again" in sysexits.h.
REQUEUE_EXIT_CODE = os.EX_TEMPFAIL

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopOnSignal(HookBase):
    """Ends the run cleanly at SIGTERM, SIGINT (Ctrl-C) or SIGUSR1 (a scheduler's warning).

    The current step is completed, all processes agree on the same step, a checkpoint is written and the writers are
    closed. A second signal ends the process at once, with the signal's default action; checkpoints stay valid then too.
    Schedulers often send the same signal twice: two signals within half a second count as one.

    Python handles signals only in the main thread; in another thread this hook does nothing. A signal that is ignored
    (SIGINT in a spawned process, whose parent forwards it) stays ignored.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._first: float | None = None

    def before_train(self) -> None:
        """Install the signal handlers."""
        if threading.current_thread() is threading.main_thread():
            self._first = None
            self._restore_handlers()  # an earlier run that a signal ended has kept ours installed
            handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in handled}

    def after_train(self) -> None:
        """Restore the previous handlers.

        If a signal was received, keep ours: schedulers send it twice, and the second one must not kill the process
        while it saves.
        """
        if self._first is None:
            self._restore_handlers()

    def _restore_handlers(self) -> None:
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
        # No logging here: the signal may have interrupted a logging handler, which still has its lock (a deadlock).
        hint = f"\n{name}: finishing this step and saving; once more ends at once\n"
        os.write(2, hint.encode())
        self.trainer.request_stop(f"signal {name}", requeue=True)


class TimeLimit(HookBase):
    """Ends the run cleanly after some time, so that it can be resumed.

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
        """Request a stop when the time is over."""
        if time.monotonic() >= self._end:
            self.trainer.request_stop(f"the time limit of {self._seconds:g} s is over", requeue=True)
