"""Shows the errors of a command to its user."""

import errno
import logging
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ..run.best_effort import FULL_DISK

logger = logging.getLogger(__name__)


# The disk or the quota is full, the file system is read-only, or the permission is missing.
_OF_THE_SYSTEM = (*FULL_DISK, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print an error of steploop's own checks as one line, and any other error with its traceback.

    The message of a check says what was expected and what to do, and a traceback would hide it; the traceback is
    written to the log file. System errors that a user can fix are printed in the same way: a full disk, a missing
    permission. Other errors (a bug, a library) are raised. Ctrl-C ends the program with status 130 and no traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        logger.debug("Interrupted:", exc_info=True)
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except (ValueError, TypeError, LookupError, OSError, RuntimeError) as error:
        if not _raised_by_us(error) and not _can_be_fixed(error):
            raise
        logger.debug("The command failed:", exc_info=error)
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.exit("\n".join([f"error: {message}", *getattr(error, "__notes__", ())]))


def _can_be_fixed(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM


def _raised_by_us(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").startswith("steploop.")
