"""Processes that do not outlive the launcher that started them."""

import contextlib
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ends_with_parent() -> Iterator[None]:
    """End this process at once if the one that started it ends while the context lasts.

    A launcher that is killed cannot stop its processes, which would hold their GPUs and the folder of the run. Where
    there is no parent to be seen (in a container) or no pidfd (before Linux 5.3), nothing is watched.
    """
    try:
        parent = os.pidfd_open(os.getppid())
    except (AttributeError, OSError):
        yield
        return
    reader, writer = os.pipe()

    def watch() -> None:
        ready, _, _ = select.select([parent, reader], [], [])
        if parent in ready:
            with contextlib.suppress(OSError):  # the launcher may have read what is written here
                os.write(2, b"the launcher has ended, so this process ends too\n")
            os._exit(1)  # the main thread may wait in a collective for ever

    thread = threading.Thread(target=watch, name="parent watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(writer)
        thread.join()
        os.close(reader)
        os.close(parent)
