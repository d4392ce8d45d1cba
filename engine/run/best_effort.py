"""Runs actions that a training does not need: if one fails, the error is logged and the training continues."""

import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class _Failures:
    count: int
    last: Exception
    is_open: bool = True  # nothing of this name has succeeded since


class BestEffort:
    """Runs actions that a training does not need: an error is logged, and the next call tries again.

    This list is complete: only these actions may fail without ending a run:

    - with any Exception: actions that only observe the run. Writers of metrics with their pictures and histograms,
      tables of results on the console, traces of the profiler.
    - with OSError (a full disk, a folder that is gone): periodic checkpoints, the best checkpoint, results.json,
      manifest.json, nonfinite_*.json. Another error of theirs is one of the program, and ends the run.
    - with an OSError of a full disk, in a run of one process: any hook before or after a step.

    The final checkpoint, and that of a run that is stopped, are the purpose of a run: if one fails, the run fails.

    Args:
        errors: the exceptions that are caught; without arguments, every Exception.
    """

    def __init__(self, *errors: type[Exception]) -> None:
        self._errors = errors or (Exception,)
        self._failures: dict[str, _Failures] = {}

    def attempt(self, what: str, action: Callable[[], object]) -> bool:
        """Call `action`; return False, and log the error, if it fails.

        Args:
            what: its name in the log, such as "the metrics of JSONWriter".
            action: called without arguments.
        """
        try:
            action()
        except self._errors as error:
            self.note(what, error)
            return False
        if what in self._failures:
            self._failures[what].is_open = False
        return True

    def note(self, what: str, error: Exception) -> None:
        """Log an error that a caller has caught, and count it for `report`."""
        is_first = what not in self._failures
        count = 1 if is_first else self._failures[what].count + 1
        self._failures[what] = _Failures(count, error)
        # The trace of a full disk says nothing; that of a bug is needed, once.
        trace = error if is_first and not isinstance(error, OSError) else None
        logger.error("%s could not be written, the training goes on without it: %r", what, error, exc_info=trace)

    def report(self) -> None:
        """Log what was not written in this run, and forget it."""
        failures, self._failures = self._failures, {}
        for what, failure in failures.items():
            result = "and was not written since" if failure.is_open else "and succeeded later"
            logger.warning("In this run, %s failed %d times %s: %r", what, failure.count, result, failure.last)
