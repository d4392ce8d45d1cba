"""Checkpoints at the end of each period, at the end of the run, and where a run was stopped."""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpointer
from ..checkpoint.retention import periodic_iteration, periodic_name, prune
from ..run.best_effort import BestEffort
from ..train_loop import SAVE, HookBase, every
from .writing import PeriodicWriter

logger = logging.getLogger(__name__)


class PeriodicCheckpointer(HookBase):
    """Saves `{prefix}_{iteration:07d}` every `period` iterations and `{prefix}_final` at the last one.

    The last iteration is saved once: as the final file, also where the period hits it. A periodic save that fails for
    want of space or permission is an error in the log, and the training goes on; the final one raises.

    The hook acts after all other hooks. What one of them did at a step (an evaluation, a best metric, a line of
    metrics) is not done again by a run that resumes from that step's checkpoint, so it must be in it. Before a
    checkpoint becomes visible, the registered writers are flushed: a step's metrics are never behind its weights,
    unless they could not be written at all. If another hook fails after a step, that step is saved before the run ends.

    Args:
        checkpointer: what saves.
        period: in iterations; 0: only at the end.
        max_iter: the length of the training; None: there is no final file.
        max_to_keep: how many periodic files stay, counting those of earlier runs in the folder; None: all.
        file_prefix: what the names begin with.
        save_points: numbers of steps after which `{prefix}_kept_{iteration:07d}` is saved, which is never deleted.
    """

    stage = SAVE

    def __init__(
        self,
        checkpointer: Checkpointer,
        period: int,
        max_iter: int | None = None,
        max_to_keep: int | None = None,
        file_prefix: str = "model",
        *,
        save_points: Iterable[int] = (),
    ) -> None:
        if period < 0:
            raise ValueError(f"a period is a number of iterations, or 0 for only at the end; got {period}")
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(f"max_to_keep is a number of files, at least 1, or None for all; got {max_to_keep}")
        self.checkpointer = checkpointer
        self.period = int(period)
        self.max_iter = max_iter
        self.max_to_keep = max_to_keep
        self.file_prefix = file_prefix
        self._save_points = frozenset(save_points)
        if min(self._save_points, default=1) < 1:
            raise ValueError(f"save points are numbers of steps, at least 1; got {sorted(self._save_points)}")
        self._effort = BestEffort(OSError)
        checkpointer.after_durable.append(self._prune)

    def step(self, iteration: int, **kwargs: Any) -> None:
        """Save if it is time to; call it after each iteration.

        Args:
            iteration: the iteration just completed, from 0.
            kwargs: saved with it.

        Raises:
            OSError: the final checkpoint could not be written.
        """
        iteration = int(iteration)
        if self.max_iter is not None and iteration >= self.max_iter - 1:
            self._settle()
            self.checkpointer.save(f"{self.file_prefix}_final", iteration=iteration, **kwargs)
            self.checkpointer.wait()
        elif self._is_due(iteration):
            self._settle()
            self._save_if_possible(iteration, **kwargs)

    def save(self, name: str, **kwargs: Any) -> None:
        """Save outside the schedule; arguments as for `Checkpointer.save`."""
        self.checkpointer.save(name, **kwargs)

    def before_train(self) -> None:
        """Learn the length of the run."""
        self.max_iter = self.trainer.max_iter
        if self._flush_writers not in self.checkpointer.before_visible:
            self.checkpointer.before_visible.append(self._flush_writers)

    def after_step(self) -> None:
        """Save, if it is time, or if another hook has failed after this step."""
        iteration = self.trainer.iter
        if self.trainer.is_ending_with_error:
            self.trainer.verify_state()
            self._save_if_possible(iteration)
            self._settle()
        elif self._is_due(iteration) or self.is_last_iter():
            self.trainer.verify_state()
            self.step(iteration)

    def after_train(self) -> None:
        """Save where a stopped run stands, unless that step is saved already; wait for a save in flight."""
        stopped = self.trainer.stop_reason is not None and not self.is_finished()
        iteration = self.trainer.completed_iter
        self._settle()
        name = self._name(iteration)
        is_saved = self._is_due(iteration) and f"{name}.pth" not in self.checkpointer.failed
        try:
            if stopped and iteration >= self.trainer.start_iter and not is_saved:
                self.save(name, iteration=iteration)
                self.checkpointer.wait()
        finally:
            if self.checkpointer.failed:
                logger.warning("Checkpoints not written in this run: %s", ", ".join(sorted(self.checkpointer.failed)))

    def _is_due(self, iteration: int) -> bool:
        return every(self.period, iteration) or iteration + 1 in self._save_points

    def _name(self, iteration: int) -> str:
        # A name that is not a periodic one's is never pruned.
        prefix = f"{self.file_prefix}_kept" if iteration + 1 in self._save_points else self.file_prefix
        return periodic_name(prefix, iteration)

    def _flush_writers(self) -> None:
        for hook in self.trainer.hooks:
            if isinstance(hook, PeriodicWriter):
                hook.flush()

    def _settle(self) -> None:
        """Wait for a save in flight; where it was asynchronous, this is where its error appears."""
        self._effort.attempt("the checkpoint before this one", self.checkpointer.wait)

    def _save_if_possible(self, iteration: int, **kwargs: Any) -> None:
        name = self._name(iteration)
        self._effort.attempt(
            f"the checkpoint {name}.pth", partial(self.checkpointer.save, name, iteration=iteration, **kwargs)
        )

    def _prune(self, written: Path) -> None:
        is_ours = periodic_iteration(written.name, self.file_prefix) is not None
        if self.max_to_keep is None or not (is_ours or written.name == f"{self.file_prefix}_final.pth"):
            return
        try:
            removed = prune(written, self.file_prefix, self.max_to_keep)
        except OSError as error:
            logger.warning("An old checkpoint could not be removed: %s", error)
            return
        if removed:
            logger.info("Removed old checkpoints: %s", ", ".join(removed))
