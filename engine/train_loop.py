"""The loop, and the hooks that it calls."""

import contextlib
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .distributed import comm
from .metrics.events import EventStorage
from .metrics.reader import NO_STOP, STOP, STOP_AND_REQUEUE, MetricReader
from .run.best_effort import FULL_DISK, BestEffort
from .run.seeding import seed_step
from .run.start import begin

logger = logging.getLogger(__name__)

Call = Callable[[], None]

# Stages of hooks in `after_step`: a hook of a later stage runs after all hooks of an earlier one.
ORDINARY, WRITE, SAVE = 0, 1, 2

HOOK_POINTS = ("before_train", "before_step", "after_backward", "after_step", "after_train")


def every(period: int, iteration: int) -> bool:
    """Return True if `iteration` (counted from 0) is the last of a block of `period` iterations.

    A period of 0 means never, so "only at the end" needs no second setting.

    Raises:
        ValueError: the period is negative.
    """
    if period < 0:
        raise ValueError(f"a period is a number of iterations, or 0 for never; got {period}")
    return period > 0 and (iteration + 1) % period == 0


class HookBase:
    """Base class of hooks, which the loop calls at five points::

        hook.before_train()
        for trainer.iter in range(start_iter, max_iter):
            hook.before_step()
            trainer.run_step()          # fetch, forward, backward
                hook.after_backward()   # gradients are complete and unscaled
                                        # optimizer.step()
            hook.after_step()
        trainer.iter = max_iter         # only if nothing failed and no stop was requested
        hook.after_train()

    A hook overrides the methods that it needs; the loop calls only those. `before_step` must be fast: slow work belongs
    in `after_step`. In `after_train`, ``trainer.iter == trainer.max_iter`` means that the run finished.

    Attributes:
        trainer: the trainer, as a weak proxy; set when the hook is registered.
        name: the name of this hook's state in a checkpoint. None: the name of the class, with a number from the second
            hook of that class on.
        stage: hooks run in ascending stage, then in order of registration. ORDINARY (0): most hooks. WRITE (1):
            PeriodicWriter, which writes what they recorded. SAVE (2): PeriodicCheckpointer, so that a checkpoint
            contains the effects of all of them.
    """

    trainer: "TrainerBase"
    name: str | None = None
    stage: int = ORDINARY

    def before_train(self) -> None:
        """Called before the first step."""

    def before_step(self) -> None:
        """Called before each step."""

    def after_backward(self) -> None:
        """Called in each step between the backward pass and the optimizer's step."""

    def after_step(self) -> None:
        """Called after each step."""

    def after_train(self) -> None:
        """Called after the last step, also if the run failed."""

    def state_dict(self) -> dict[str, Any]:
        """Return this hook's state as plain data; it is stored in every checkpoint."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; a hook that has a state implements it."""

    def every(self, period: int) -> bool:
        """Return True if the current step is the last of a block of `period` steps; 0 means never."""
        return every(period, self.trainer.iter)

    def is_last_iter(self) -> bool:
        """Return True if the current step is the last of the run."""
        return self.trainer.iter + 1 == self.trainer.max_iter

    def is_finished(self) -> bool:
        """Return True, in `after_train`, if the run reached its end."""
        return self.trainer.iter == self.trainer.max_iter


class HookList:
    """The bound methods of hooks, in the order in which they run; only methods that a hook overrides are called.

    Attributes:
        before_train, before_step, after_backward, after_step, after_train: the methods to call at that point.
        after_reading: `after_step` of the hooks of the stages WRITE and SAVE; it runs after the list `after_step`.
    """

    def __init__(self) -> None:
        self.bind([])

    def bind(self, hooks: list[HookBase]) -> None:
        """Look up once which methods each hook overrides, so that a step costs no call of an empty method."""
        calls = {point: [getattr(h, point) for h in hooks if _overrides(h, point)] for point in HOOK_POINTS}
        late = [hook.after_step for hook in hooks if hook.stage > ORDINARY and _overrides(hook, "after_step")]
        self.before_train: list[Call] = calls["before_train"]
        self.before_step: list[Call] = calls["before_step"]
        self.after_backward: list[Call] = calls["after_backward"]
        self.after_step: list[Call] = calls["after_step"][: len(calls["after_step"]) - len(late)]
        self.after_reading: list[Call] = late
        self.after_train: list[Call] = calls["after_train"]

    def check(self, hook: HookBase, others: list[HookBase]) -> None:
        """Raise if `hook` cannot be registered beside the others (TypeError, ValueError)."""
        if not isinstance(hook, HookBase):
            raise TypeError(f"a hook is a subclass of HookBase; got {type(hook).__name__}: {hook!r}")
        if _overrides(hook, "state_dict") and not _overrides(hook, "load_state_dict"):
            raise TypeError(
                f"{type(hook).__name__} has state_dict() but no load_state_dict(): a resumed run could not restore it"
            )
        if hook.name is not None and hook.name in dict(self.named(others)):
            raise ValueError(f"two hooks are named {hook.name!r}: their states could not be told apart; rename one")

    def named(self, hooks: list[HookBase]) -> list[tuple[str, HookBase]]:
        """Return (name, hook) pairs; the second hook of a class is named ``Class#2`` and so on."""
        pairs: list[tuple[str, HookBase]] = []
        for hook in hooks:
            name = base = hook.name or type(hook).__qualname__
            taken = {other for other, _ in pairs}
            number = 1
            while name in taken:
                number += 1
                name = f"{base}#{number}"
            pairs.append((name, hook))
        return pairs

    def load_states(self, hooks: list[HookBase], states: dict[str, Any]) -> None:
        """Load into each hook the state of its name; warn of states without a hook and of hooks without a state.

        The states are those of the main process. Some hooks are registered only there, so the other processes log this
        at level DEBUG.
        """
        named = dict(self.named(hooks))
        report = logger.warning if comm.is_main_process() else logger.debug
        for name, state in states.items():
            if name in named:
                named[name].load_state_dict(state)
            else:
                report("The checkpoint has a state of the hook %r, which is not registered; it is skipped", name)
        for name, hook in named.items():
            if hook.state_dict() and name not in states:
                report("The checkpoint has no state of the hook %r; it starts again", name)


def call_all(calls: list[Call], point: str) -> None:
    """Make every call, even if one raises an Exception; then raise the first error, if any."""
    errors = []
    for call in calls:
        try:
            call()
        except Exception as error:
            logger.exception("%s of %s failed:", point, type(getattr(call, "__self__", call)).__name__)
            errors.append(error)
    if errors:
        raise errors[0]


def _overrides(hook: HookBase, method: str) -> bool:
    return getattr(getattr(hook, method), "__func__", None) is not getattr(HookBase, method)


class TrainerBase:
    """A loop with hooks; it assumes nothing about what a step does.

    Attributes:
        iter: the current step, counted from 0. Equal to `max_iter` after a run that finished, and only then.
        start_iter: the first step of this run.
        max_iter: one past the last step.
        completed_iter: the last step that was completed; -1 before the first.
        hooks: the registered hooks, in the order in which they run.
        storage: the metrics; exists while `train` runs.
        stop_reason: why the run ended before `max_iter`, or None.
        must_requeue: True if the run was interrupted from outside and should be resumed.
        is_ending_with_error: True while the last hooks run after a step at which another hook failed.
        ends_after_this_step: True if `end_after_this_step` was called.
        metric_periods: metrics are read, and reduced over processes, at the last step of every such period.
        metric_points: numbers of steps after which they are read, too.
        seed: with a seed, the random numbers of a step are a function of (seed, rank, step); None seeds nothing.
    """

    def __init__(self) -> None:
        self.hooks: list[HookBase] = []
        self.iter = self.start_iter = self.max_iter = 0
        self.completed_iter = -1
        self.storage: EventStorage
        self.stop_reason: str | None = None
        self.must_requeue = self.ends_after_this_step = self.is_ending_with_error = False
        self.metric_periods: tuple[int, ...] = (20,)
        self.metric_points: tuple[int, ...] = ()
        self.seed: int | None = None
        self._calls = HookList()
        self._stop_request: str | None = None
        self._can_stop = False
        self._rank = 0
        self._loaded_storage: dict[str, Any] | None = None
        self._effort = BestEffort(OSError)

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Add hooks; those of one stage are called in the order of registration. None is skipped.

        A hook's `trainer` is a weak proxy: trainer and hooks form no reference cycle, so both are freed at once.

        Raises:
            TypeError: one of them is not a HookBase, or has a state that it could not load.
            ValueError: two hooks have the same name.
        """
        for hook in hooks:
            if hook is not None:
                self._calls.check(hook, self.hooks)
                hook.trainer = weakref.proxy(self)
                self.hooks.append(hook)
        self.hooks.sort(key=lambda hook: hook.stage)
        self._calls.bind(self.hooks)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run the steps from `start_iter` up to, not including, `max_iter`; HookBase shows the order of calls.

        An exception ends the run and is raised again after `after_train`. Can be called more than once.
        """
        begin()  # the first write: everything that can be refused has been checked
        logger.info("Starting training from iteration %d", start_iter)
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        self.completed_iter = start_iter - 1
        self.stop_reason = self._stop_request = None
        self.must_requeue = self.ends_after_this_step = self.is_ending_with_error = False
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
                    # From here on the run is finished: a signal can no longer interrupt it.
                    self._can_stop = self.must_requeue = False
                    self.iter = max_iter  # only here: hooks use it to distinguish a finished run from a failed one
                    self.stop_reason = None
            except BaseException:
                logger.exception("Exception during training at iteration %d:", self.iter)
                self.stop_reason = None  # hooks save the checkpoint of a stopped run, not of a failed one
                with contextlib.suppress(Exception):  # call_all has logged it; the first error is raised below
                    self.after_train()
                raise
            self.after_train()

    def request_stop(self, reason: str, *, requeue: bool = False) -> None:
        """End the run with a checkpoint: after the current step, or with several processes after the next reading.

        Only the metrics' reading communicates, so all processes learn of the request there and end at the same step.
        Safe to call from a signal handler.

        Args:
            reason: for the log.
            requeue: True if the run is interrupted and should be resumed; False if it is done.
        """
        self._stop_request = self._stop_request or reason
        if self._can_stop:
            self.must_requeue = self.must_requeue or requeue
            if comm.get_world_size() == 1:
                self.stop_reason = self._stop_request

    def end_after_this_step(self, reason: str) -> None:
        """End the run after the current step as a finished one; every process must call it at the same step.

        The metrics recorded until then are written and saved, as after the last step.
        """
        self.request_stop(reason)
        self.stop_reason = reason
        self.ends_after_this_step = True

    def before_train(self) -> None:
        """Called once before the first step."""
        self._can_stop = True
        self._calls.bind(self.hooks)
        self._rank = comm.get_rank()
        self._reader = MetricReader(
            self.storage, self.metric_periods, self.start_iter, self.max_iter, points=self.metric_points
        )
        for call in self._calls.before_train:
            call()

    def after_train(self) -> None:
        """Called once at the end, also of a run that failed: runs every hook, then raises the first error, if any."""
        # From now on, such as during the final evaluation, a signal must not mark the run as interrupted.
        self._can_stop = False
        self.storage.iter = self.iter
        self._effort.report()
        call_all(self._calls.after_train, "after_train")

    def before_step(self) -> None:
        """Called before each step."""
        self.storage.iter = self.iter
        if self.seed is not None:
            seed_step(self.seed, self._rank, self.iter)
        self._call_hooks(self._calls.before_step)

    def after_backward(self) -> None:
        """Called in each step when the gradients are complete and unscaled, before the optimizer's step."""
        for call in self._calls.after_backward:
            call()

    def after_step(self) -> None:
        """Called after each step: reads the metrics if they are due, runs the hooks, then those of the late stages."""
        is_due = self.iter >= self._reader.next_reading
        if is_due:
            self.read_metrics()
        try:
            self._call_hooks(self._calls.after_step)
        except Exception:
            self._save_before_error()
            raise
        if is_due:
            self._reader.read_again(self.iter)  # so that metrics put by these hooks are written and saved at this step
        for call in self._calls.after_reading:
            call()

    def _call_hooks(self, calls: list[Call]) -> None:
        """Call hooks; with one process, a full disk that a hook meets does not end the run.

        With several processes, the others may wait for what that hook would have done next: the run ends.
        """
        for call in calls:
            try:
                call()
            except OSError as error:
                if error.errno not in FULL_DISK or comm.get_world_size() > 1:
                    raise
                self._effort.note(f"a file of {type(getattr(call, '__self__', call)).__name__}", error)

    def _save_before_error(self) -> None:
        """Write and save a step after which a hook failed, such as an evaluation: its weights are as good as any.

        Otherwise each resume would train the same steps again, and lose them at the same place.
        """
        logger.error("A hook failed after iteration %d; the iteration is complete and is saved", self.iter)
        self.is_ending_with_error = True
        # Nothing that communicates: the other processes may be anywhere. The first error is the one to raise.
        with contextlib.suppress(Exception):
            call_all(self._calls.after_reading, "after_step")

    def verify_state(self) -> None:
        """Raise FloatingPointError if a value that a checkpoint would store is not finite; called before each save."""

    def run_step(self) -> None:
        """Do one step; subclasses implement it."""
        raise NotImplementedError(f"{type(self).__name__} must implement run_step()")

    def read_metrics(self) -> None:
        """Read the metrics measured since the last reading, and exchange stop requests between processes.

        Raises:
            FloatingPointError: a loss since then, or a weight, is not finite. Raised in every process at the same step.
        """
        request = NO_STOP if self._stop_request is None else STOP_AND_REQUEUE if self.must_requeue else STOP
        request = self._reader.read(self.iter, request)
        if request and comm.get_world_size() > 1:
            self.stop_reason = self._stop_request or "another process asked to stop"
            self.must_requeue = request == STOP_AND_REQUEUE
        self.verify_state()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loop: the last completed step, the metrics' windows and the hooks' states."""
        state: dict[str, Any] = {"iteration": self.completed_iter}
        hooks = {name: hook_state for name, hook in self._calls.named(self.hooks) if (hook_state := hook.state_dict())}
        if hooks:
            state["hooks"] = hooks
        if "storage" in vars(self):
            state["storage"] = self.storage.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load `state_dict()`. Training resumes at ``trainer.iter + 1``."""
        self.iter = self.completed_iter = state_dict["iteration"]
        self._loaded_storage = state_dict.get("storage")
        self._calls.load_states(self.hooks, state_dict.get("hooks", {}))

    def _open_storage(self, start_iter: int) -> EventStorage:
        storage = EventStorage(start_iter)
        if self._loaded_storage is not None:
            storage.load_state_dict(self._loaded_storage)
            self._loaded_storage = None
        return storage
