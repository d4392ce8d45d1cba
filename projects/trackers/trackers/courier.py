"""Calls that the training loop does not wait for."""

import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

Call = Callable[[], object]

# What may wait for a tool that does not answer; what comes on top of it is lost.
MOST_WAITING = 1000


class Courier:
    """Makes calls in a thread, one after the other; what goes wrong is a warning, the first time.

    Args:
        name: of whom the calls go to, for the warning.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.Queue[Call | None] = queue.Queue(MOST_WAITING)
        self._has_warned = False
        self._is_late = False
        # A daemon: a tool that does not answer must not keep the process from its end.
        self._thread = threading.Thread(target=self._work, name=f"courier to {name}", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Have a call made later; returns at once."""
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self.warn(f"{MOST_WAITING} calls wait already, further ones are lost")

    def flush(self, seconds: float) -> None:
        """Wait for the calls so far, about so many seconds at most; not at all while those of an earlier wait last."""
        if not self._is_late:
            self._is_late = not self._wait(seconds)

    def close(self, seconds: float) -> bool:
        """Make the calls that wait and end; return whether that took less than so many seconds."""
        is_done = self._wait(seconds)
        if is_done:
            self._calls.put(None)
            self._thread.join()
        else:
            self.warn(f"it did not answer for {seconds:g} s, what was still to be sent is lost")
        return is_done

    def warn(self, what: object) -> None:
        """Say in the log what went wrong, unless something did before."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Logging to %s failed; the training goes on, further failures are not told: %s", self._name, what
            )

    def _wait(self, seconds: float) -> bool:
        reached = threading.Event()
        try:
            self._calls.put(reached.set, timeout=seconds)
        except queue.Full:
            return False
        return reached.wait(seconds)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._calls.empty():
                self._is_late = False
            try:
                call()
            except Exception as error:  # whatever a tool raises: metrics are not worth a training
                self.warn(f"{type(error).__name__}: {error}")
