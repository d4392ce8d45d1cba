"""A run that ends when it no longer gets better."""

import logging
from typing import Any

from ..distributed import comm
from ..train_loop import HookBase
from .metric import comparison, find_metric

logger = logging.getLogger(__name__)


class EarlyStopping(HookBase):
    """Ends the run when a metric has not improved in `patience` evaluations in a row.

    All processes stop after the step of that evaluation, with a checkpoint: the run is done, not interrupted, so that
    it ends with exit code 0. What it learned so far is in every checkpoint, and a run that is over stays over: ask
    `is_over` after loading one, as DefaultTrainer does. Resumed with more patience, it goes on.

    Register it in every process, after the hook that measures the metric (an EvalHook, a ValidationLoss), with the same
    period.

    Args:
        eval_period: the period of that hook.
        val_metric: the name of the scalar, such as "market1501/mAP".
        mode: "max" or "min".
        patience: evaluations without an improvement after which the run ends, at least 1.
        min_delta: what is better by no more than this, in the units of the metric, is no improvement.

    Raises:
        ValueError: one of the arguments is out of its range.
    """

    def __init__(
        self, eval_period: int, val_metric: str, mode: str = "max", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        if patience < 1:
            raise ValueError(f"the patience of early stopping is a number of evaluations, at least 1; got {patience}")
        if not min_delta >= 0:
            raise ValueError(f"the min_delta of early stopping is at least 0; got {min_delta}")
        self._period = eval_period
        self._val_metric = val_metric
        self._is_better = comparison(mode)
        self._step = min_delta if mode == "max" else -min_delta
        self._patience = patience
        self.best_metric: float | None = None
        self.best_iter: int | None = None
        self.num_bad = 0

    def before_train(self) -> None:
        """Start anew with a new run; end one that is over already, after one step."""
        if self.trainer.start_iter == 0:
            self.best_metric, self.best_iter, self.num_bad = None, None, 0
        if self.is_over():
            self.trainer.end_after_this_step(self.reason)

    def after_step(self) -> None:
        """Look at the metric after a periodic evaluation; the results of one are known to the main process only."""
        if self.every(self._period) and not self.is_last_iter():
            if comm.is_main_process():
                self._look()
            self.load_state_dict(comm.all_gather(self.state_dict())[0])
            if self.is_over():
                self.trainer.end_after_this_step(self.reason)

    def is_over(self) -> bool:
        """Say whether the patience is at its end; after a checkpoint was loaded, whether its run had ended by this."""
        return self.num_bad >= self._patience

    @property
    def reason(self) -> str:
        """Why the run ends, when it is over."""
        best = "had a value" if self.best_metric is None else f"improved on {self.best_metric:.5g}"
        return f"{self._val_metric} has not {best} in {self.num_bad} evaluations (patience {self._patience})"

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its iteration, and the number of evaluations since."""
        return {"best_metric": self.best_metric, "best_iter": self.best_iter, "num_bad": self.num_bad}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over `state_dict()`."""
        self.best_metric, self.best_iter = state_dict["best_metric"], state_dict["best_iter"]
        self.num_bad = state_dict["num_bad"]

    def _look(self) -> None:
        found = find_metric(self.trainer.storage, self._val_metric, type(self).__name__)
        if found is None:
            return
        value, iteration = found
        if value == value and (self.best_metric is None or self._is_better(value, self.best_metric + self._step)):
            self.best_metric, self.best_iter, self.num_bad = value, iteration, 0
        else:
            self.num_bad += 1
