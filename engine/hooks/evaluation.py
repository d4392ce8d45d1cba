"""When a model is evaluated."""

from collections.abc import Callable, Mapping
from typing import Any

from ..distributed import comm
from ..evaluation.results import numbers_of
from ..metrics.names import RESERVED, renamed
from ..train_loop import HookBase


class EvalHook(HookBase):
    """Evaluates every `eval_period` steps and after a finished run, and records the results as scalars.

    Must be registered in every process.

    Args:
        eval_period: number of steps; 0 means not during training.
        eval_function: returns a (nested) dict of numbers, or nothing; called without arguments. What is no number is
            named in a warning and not recorded.
        eval_after_train: whether to evaluate when the run is finished.
        eval_before_train: whether to evaluate before the first step of a new run.
    """

    def __init__(
        self,
        eval_period: int,
        eval_function: Callable[[], Mapping[str, Any] | None],
        eval_after_train: bool = True,
        *,
        eval_before_train: bool = False,
    ) -> None:
        self._period = eval_period
        self._func = eval_function
        self._eval_after_train = eval_after_train
        self._eval_before_train = eval_before_train

    def before_train(self) -> None:
        """Evaluate the model as it is before the first step, if asked to."""
        if self._eval_before_train and self.trainer.start_iter == 0:
            self._evaluate()

    def after_step(self) -> None:
        """Evaluate, if it is time; the last step leaves it to `after_train`."""
        if self.every(self._period) and not (self.is_last_iter() and self._eval_after_train):
            self._evaluate()

    def after_train(self) -> None:
        """Evaluate a finished run."""
        if self._eval_after_train and self.is_finished():
            self._evaluate()

    def _evaluate(self) -> None:
        results = self._func()
        if results:
            if not isinstance(results, Mapping):
                raise TypeError(f"an evaluation returns a dict of numbers; got {type(results).__name__}: {results!r}")
            source = getattr(self._func, "__qualname__", "the evaluation")
            for name, number in numbers_of(results, source).items():
                name = renamed(name, source) if name in RESERVED else name
                self.trainer.storage.put_scalar(name, number, smoothing_hint=False)
        # Evaluation takes different times in different processes; the next collective should not wait for long.
        comm.synchronize()
