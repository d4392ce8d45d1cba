"""A progress bar."""

import sys
from typing import Any

from ..distributed import comm
from ..run.best_effort import BestEffort
from ..run.logger import set_console_writer
from ..train_loop import HookBase


class ProgressBar(HookBase):
    """Shows a live progress bar if the error stream is a terminal; otherwise nothing."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._effort = BestEffort()

    def before_train(self) -> None:
        """Open the bar if the error stream is a terminal."""
        if comm.is_main_process() and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.trainer.max_iter, initial=self.trainer.start_iter, unit="it", leave=False, dynamic_ncols=True
            )
            set_console_writer(self._bar.write)

    def after_step(self) -> None:
        """Advance the bar by one step."""
        if self._bar is not None and not self._effort.attempt("the progress bar", self._bar.update):
            self._bar = None  # the terminal is gone
            set_console_writer(None)

    def after_train(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            set_console_writer(None)
            self._effort.attempt("the progress bar", self._bar.close)
            self._bar = None
