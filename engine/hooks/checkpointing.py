"""When checkpoints are written."""

import logging
import operator
from typing import Any

from ..checkpoint import Checkpointer
from ..checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from ..checkpoint.retention import periodic_name
from ..hook_base import HookBase
from ..period import every
from .writing import PeriodicWriter

logger = logging.getLogger(__name__)


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """Saves every `period` steps, at the last one, and where a run was stopped.

    Takes the arguments of `steploop.engine.checkpoint.PeriodicCheckpointer`. Before a checkpoint becomes visible, the
    registered writers are flushed: the metrics of a step are never behind its weights.

    It acts after all other hooks. What one of them did at a step (an evaluation, a best metric, a line of metrics) is
    not done again by a run that resumes from that step's checkpoint, so it must be in it.
    """

    turn = 2

    def before_train(self) -> None:
        """Learn the length of the run."""
        self.max_iter = self.trainer.max_iter
        if self._flush_writers not in self.checkpointer.before_visible:
            self.checkpointer.before_visible.append(self._flush_writers)

    def after_step(self) -> None:
        """Save, if it is time."""
        self.step(self.trainer.iter)

    def after_train(self) -> None:
        """Save where a stopped run stands, unless that step is saved already; wait for a save in flight."""
        stopped = self.trainer.stop_reason is not None and not self.is_finished()
        iteration = self.trainer.completed_iter
        try:
            if stopped and iteration >= self.trainer.start_iter and not every(self.period, iteration):
                self.save(periodic_name(self.file_prefix, iteration), iteration=iteration)
        finally:
            self.checkpointer.wait()

    def _flush_writers(self) -> None:
        for hook in self.trainer._hooks:
            if isinstance(hook, PeriodicWriter):
                hook.flush()


class BestCheckpointer(HookBase):
    """Keeps the checkpoint with the best value of one metric; remembers it over a resume.

    Register it after the EvalHook with the same period.

    Args:
        eval_period: the period of the EvalHook; 0 looks at the final evaluation only.
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
        if mode not in ("max", "min"):
            raise ValueError(f'the mode of a best metric is "max" or "min"; got {mode!r}')
        self._period = eval_period
        self._checkpointer = checkpointer
        self._val_metric = val_metric
        self._is_better = operator.gt if mode == "max" else operator.lt
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def after_step(self) -> None:
        """Look at the metric after a periodic evaluation."""
        if every(self._period, self.trainer.iter) and not self.is_last_iter():
            self._check()

    def after_train(self) -> None:
        """Look at the metric after the final evaluation."""
        if self.is_finished():
            self._check()

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its iteration."""
        return {} if self.best_iter is None else {"best_metric": self.best_metric, "best_iter": self.best_iter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best value and its iteration."""
        self.best_metric, self.best_iter = state_dict["best_metric"], state_dict["best_iter"]

    def _check(self) -> None:
        latest = self.trainer.storage.latest().get(self._val_metric)
        if latest is None:
            logger.warning(
                "BestCheckpointer found no metric %r; recorded so far: %s. Is it registered after the EvalHook?",
                self._val_metric,
                ", ".join(sorted(self.trainer.storage.latest())),
            )
            return
        value, iteration = latest
        if value != value or iteration == self.best_iter:
            return
        if self.best_metric is None or self._is_better(value, self.best_metric):
            self.best_metric, self.best_iter = value, iteration
            self._checkpointer.save(self._file_prefix, tag_last=False, iteration=self.trainer.completed_iter)
            logger.info("New best %s: %.5g at iteration %d", self._val_metric, value, iteration)
