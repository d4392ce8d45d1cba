"""The loop, and the hooks that it calls."""

import contextlib
import logging
import weakref
from typing import Any

from . import comm
from .events import EventStorage
from .hook_base import HookBase, HookList, call_all
from .losses import check_finite
from .period import next_end
from .reduction import MetricReducer
from .seeding import seed_step

logger = logging.getLogger(__name__)


class TrainerBase:
    """A loop with hooks; it assumes nothing of what a step does.

    Attributes:
        iter: the step that runs, counted from 0. Equal to `max_iter` after a run that finished, and only then.
        start_iter: the first step of this run.
        max_iter: one past the last step.
        storage: the metrics; exists while `train` runs.
        stop_reason: why the run ended before `max_iter`, or None.
        must_requeue: whether it was stopped from outside and is to be taken up again.
        metric_periods: metrics are read, and reduced over processes, at the last step of every such period.
        seed: with a seed, random numbers drawn in a step follow from (seed, rank, step).
    """

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self._calls = HookList()
        self.iter = self.start_iter = self.max_iter = 0
        self.completed_iter = -1
        self.storage: EventStorage
        self.stop_reason: str | None = None
        self.metric_periods: tuple[int, ...] = (20,)
        self.seed: int | None = None
        self.must_requeue = False
        self._stop_request: str | None = None
        self._can_stop = False
        self._rank = 0
        self._loaded_storage: dict[str, Any] | None = None

    def register_hooks(self, hooks: list[HookBase | None]) -> None:
        """Append hooks; those of one turn are called in the order of registration. None is dropped.

        A hook's `trainer` is a weak proxy, so that trainer and hooks do not keep each other alive.

        Raises:
            TypeError: one of them is not a HookBase, or has a state that it could not load.
            ValueError: two hooks have the same name.
        """
        for hook in hooks:
            if hook is not None:
                self._calls.check(hook, self._hooks)
                hook.trainer = weakref.proxy(self)
                self._hooks.append(hook)
        self._hooks.sort(key=lambda hook: hook.turn)
        self._calls.bind(self._hooks)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run the steps from `start_iter` up to, not including, `max_iter`; HookBase shows the order of calls.

        An exception ends the run and is raised again after `after_train`. Can be called more than once.
        """
        logger.info("Starting training from iteration %d", start_iter)
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        self.completed_iter = start_iter - 1
        self.stop_reason = self._stop_request = None
        self.must_requeue = False
        with self._open_storage(start_iter) as self.storage:
            try:
                self.before_train()
                for self.iter in range(start_iter, max_iter):
                    self.before_step()
                    self.run_step()
                    self.completed_iter = self.iter
                    self.after_step()
                    if self.stop_reason is not None and self.iter + 1 < max_iter:
                        self.read_metrics()  # a loss since the last reading may be NaN, and a checkpoint follows
                        logger.info("Stopping after iteration %d: %s", self.iter, self.stop_reason)
                        break
                else:
                    self.iter = max_iter  # only now: by this, hooks tell a finished run from a failed one
                    self.stop_reason = None
            except BaseException:
                logger.exception("Exception during training at iteration %d:", self.iter)
                self.stop_reason = None  # a run that failed is no stopped one: nothing of it is saved
                with contextlib.suppress(Exception):  # already logged; what ended the run is what is raised
                    self.after_train()
                raise
            self.after_train()

    def request_stop(self, reason: str, *, requeue: bool = False) -> None:
        """End the run after the step in flight, with a checkpoint.

        With one process at once; with several, all of them after the next reading of the metrics, at the same step.

        Args:
            reason: told in the log.
            requeue: whether the run is interrupted, and should be taken up again, rather than done.
        """
        self._stop_request = self._stop_request or reason
        if self._can_stop and comm.get_world_size() == 1:
            self.stop_reason = self._stop_request
        self.must_requeue = self.must_requeue or requeue

    def before_train(self) -> None:
        """Called once before the first step."""
        self._can_stop = True
        self._calls.bind(self._hooks)
        self._rank = comm.get_rank()
        self._reducer = MetricReducer()
        self._read_until = self.start_iter - 1
        self._next_reading = self._reading_after(self._read_until)
        for call in self._calls.before_train:
            call()

    def after_train(self) -> None:
        """Called once at the end, also of a run that failed: every hook, and then the first error of one is raised."""
        self._can_stop = False  # what comes now, such as a signal during the final evaluation, comes too late
        self.storage.iter = self.iter
        call_all(self._calls.after_train, "after_train")

    def before_step(self) -> None:
        """Called before each step."""
        self.storage.iter = self.iter
        if self.seed is not None:
            seed_step(self.seed, self._rank, self.iter)
        for call in self._calls.before_step:
            call()

    def after_backward(self) -> None:
        """Called in each step when the gradients are complete and unscaled, before the optimizer's step."""
        for call in self._calls.after_backward:
            call()

    def after_step(self) -> None:
        """Called after each step: first metrics are read where they are due, then hooks act."""
        if self.iter >= self._next_reading:
            self.read_metrics()
        for call in self._calls.after_step:
            call()

    def run_step(self) -> None:
        """Do one step; subclasses implement it."""
        raise NotImplementedError(f"{type(self).__name__} must implement run_step()")

    def read_metrics(self) -> None:
        """Read what was measured since the last reading; the one place where processes exchange metrics.

        Raises:
            FloatingPointError: a loss in between was not finite. Raised in every process, at the same step.
        """
        first = self._read_until + 1
        if comm.get_world_size() > 1:
            wish = 0 if self._stop_request is None else 2 if self.must_requeue else 1
            # From the step that was read last: its hooks may have put tensors after that reading.
            reduced, wish = self._reducer(self.storage.take_unreduced(), self._read_until, self.iter, wish)
            self.storage.put_reduced(reduced)
            if wish:
                self.stop_reason = self._stop_request or "another process asked to stop"
                self.must_requeue = wish == 2
        self._read_until = self.iter
        self._next_reading = self._reading_after(self.iter)
        check_finite(self.storage, first)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: the last completed step, the metrics' windows and the hooks' states."""
        state: dict[str, Any] = {"iteration": self.completed_iter}
        hooks = {name: hook_state for name, hook in self._calls.named(self._hooks) if (hook_state := hook.state_dict())}
        if hooks:
            state["hooks"] = hooks
        if "storage" in vars(self):
            state["storage"] = self.storage.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over `state_dict()`. Training goes on at ``trainer.iter + 1``."""
        self.iter = self.completed_iter = state_dict["iteration"]
        self._loaded_storage = state_dict.get("storage")
        self._calls.load_states(self._hooks, state_dict.get("hooks", {}))

    def _reading_after(self, iteration: int) -> int:
        """Return the next step at which metrics are read: the end of a period, or the last step."""
        return min([next_end(period, iteration) for period in self.metric_periods if period] + [self.max_iter - 1])

    def _open_storage(self, start_iter: int) -> EventStorage:
        storage = EventStorage(start_iter)
        if self._loaded_storage is not None:
            storage.load_state_dict(self._loaded_storage)
            self._loaded_storage = None
        return storage
