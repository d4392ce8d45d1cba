"""An end to reading that does not end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class VideoTimeout(TimeoutError):
    """Reading a file took longer than the limit; the message names the file."""


@contextlib.contextmanager
def time_limit(seconds: float, name: object) -> Iterator[None]:
    """Raise VideoTimeout in the block when it takes longer.

    It interrupts what waits for the system, and what returns to Python now and then, as decoding does after each
    packet. Only the main thread of a process can be interrupted, which is where a loader's workers read; elsewhere, and
    on Windows, there is no limit.

    Args:
        seconds: 0 sets no limit.
        name: what the block reads, for the message.

    Raises:
        VideoTimeout: the block took longer.
    """
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds <= 0 or not usable:
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise VideoTimeout(
            f"reading {name} took longer than {seconds:g} s: it may be damaged, or the disk hangs; check it, or "
            "raise the limit (DATALOADER.VIDEO_TIMEOUT)"
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
