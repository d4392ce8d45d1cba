"""The checkpoint with the best value of a metric."""

import logging
from pathlib import Path
from typing import Any

from ..checkpoint import Checkpointer
from ..checkpoint.errors import CheckpointError
from ..checkpoint.reader import peek_checkpoint
from ..run.best_effort import BestEffort
from ..train_loop import HookBase
from .metric import comparison, find_metric

logger = logging.getLogger(__name__)


class BestCheckpointer(HookBase):
    """Keeps the checkpoint with the best value of one metric; remembers it over a resume.

    Register it after the hook that measures the metric (an EvalHook, a ValidationLoss), with the same period; for
    several metrics one for each, with files of different names. A run never goes on from such a file by itself.

    A file that cannot be written (a full disk) does not end the run: its value does not count, and the next one that is
    better than that of the last file is saved.

    Args:
        eval_period: the period of that hook; 0 looks at the end of the run only.
        checkpointer: saves the file.
        val_metric: the name of the scalar, such as "market1501/mAP".
        mode: "max" or "min".
        file_prefix: the name of the file, without ".pth".

    Raises:
        ValueError: the mode is neither of the two.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Checkpointer,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        self._period = eval_period
        self._checkpointer = checkpointer
        self._val_metric = val_metric
        self._is_better = comparison(mode)
        self._file_prefix = file_prefix
        # Named by the file, so that two of them cannot write into one.
        self.name = type(self).__name__ if file_prefix == "model_best" else f"{type(self).__name__} {file_prefix}"
        self.best_metric: float | None = None
        self.best_iter: int | None = None
        self._saved: tuple[float | None, int | None] = (None, None)  # the best before the last save
        self._effort = BestEffort(OSError)

    def before_train(self) -> None:
        """Recall the final evaluation of a run that is made longer: its best came after its last checkpoint."""
        path = Path(self._checkpointer.save_dir, f"{self._file_prefix}.pth")
        start = self.trainer.start_iter
        if start == 0 or not path.is_file():
            return
        try:
            facts = peek_checkpoint(path)
        except (CheckpointError, OSError) as error:
            logger.warning("What was the best %s cannot be read again: %s", self._val_metric, error)
            return
        if (facts.get("val_metric"), facts.get("best_iter"), facts.get("iteration")) == (
            self._val_metric, start, start - 1
        ):  # fmt: skip
            self.best_metric, self.best_iter = facts["best_metric"], start

    def after_step(self) -> None:
        """Look at the metric after a periodic evaluation; at the last step only if that was not left to the end."""
        if self.is_last_iter():
            if self.trainer.storage.latest().get(self._val_metric, (0.0, -1))[1] == self.trainer.iter:
                self._check()
        elif self.every(self._period):
            self._check()

    def after_train(self) -> None:
        """Look at the metric after the final evaluation."""
        if self.is_finished():
            self._check()
        self._effort.report()

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its iteration and its name."""
        self._forget_unsaved()
        return {} if self.best_iter is None else self._best()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best value and its iteration, if they are of the same metric."""
        earlier = state_dict.get("val_metric", self._val_metric)
        if earlier != self._val_metric:
            logger.warning(
                "%s.pth is the best by %s so far, from now on by %s", self._file_prefix, earlier, self._val_metric
            )
            return
        self.best_metric, self.best_iter = state_dict["best_metric"], state_dict["best_iter"]

    def _best(self) -> dict[str, Any]:
        return {"best_metric": self.best_metric, "best_iter": self.best_iter, "val_metric": self._val_metric}

    def _forget_unsaved(self) -> None:
        """Go back to the value before the last one if the file of that could not be written."""
        if f"{self._file_prefix}.pth" in getattr(self._checkpointer, "failed", ()):
            self.best_metric, self.best_iter = self._saved

    def _check(self) -> None:
        self._forget_unsaved()
        found = find_metric(self.trainer.storage, self._val_metric, type(self).__name__)
        if found is None:
            return
        value, iteration = found
        if value != value or iteration == self.best_iter:
            return
        if self.best_metric is None or self._is_better(value, self.best_metric):
            self.trainer.verify_state()
            self._saved = self.best_metric, self.best_iter
            self.best_metric, self.best_iter = value, iteration
            if not self._effort.attempt(f"the checkpoint {self._file_prefix}.pth", self._save):
                self.best_metric, self.best_iter = self._saved
                return
            logger.info("New best %s: %.5g at iteration %d", self._val_metric, value, iteration)

    def _save(self) -> None:
        completed = self.trainer.completed_iter
        self._checkpointer.save(self._file_prefix, tag_last=False, iteration=completed, **self._best())
