"""The learning rate and the momentum of each step."""

import copy
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from ..solver.lr_scheduler import LRMultiplier
from ..solver.momentum import momentum_of
from ..solver.restore_schedule import refuse_metric_schedulers, restore_schedule, schedule_state
from ..train_loop import HookBase


class LRScheduler(HookBase):
    """Steps a schedule after each step, and records the learning rate that the step used as "lr".

    It also records "momentum" if the schedule changes it (`cycle_momentum` is True, as in torch's OneCycleLR). A
    schedule that is a function of the step is set to the first step of each training. A torch scheduler is restored
    from a checkpoint together with the options of the optimizer that it has changed.

    Args:
        optimizer: None takes the trainer's.
        scheduler: a torch scheduler, or a function of progress in 0..1 (an fvcore ParamScheduler), which multiplies the
            learning rates; None takes the trainer's `scheduler`.

    Raises:
        TypeError: (at the start of the training) the scheduler needs a metric in each step (ReduceLROnPlateau).
    """

    trainer: Any  # with an optimizer and a scheduler, if they are not given to the hook

    def __init__(self, optimizer: Optimizer | None = None, scheduler: Any = None) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._first: tuple[int, dict[str, Any]] | None = None

    def before_train(self) -> None:
        """Find the optimizer and the schedule, and set the schedule to the first step."""
        self._stepped = self.scheduler
        self._group = _representative(self._current_optimizer)
        if isinstance(self._stepped, TorchLRScheduler):
            self._enter(self._stepped)
        else:
            self._stepped = LRMultiplier(
                self._current_optimizer, self._stepped, self.trainer.max_iter, last_iter=self.trainer.iter - 1
            )
        self._moves_momentum = getattr(self._stepped, "cycle_momentum", False)

    def after_step(self) -> None:
        """Record the rate, then set the next step's."""
        rate = self._group["lr"]
        self.trainer.storage.put_scalar("lr", rate, False)
        if self._moves_momentum:
            self.trainer.storage.put_scalar("momentum", momentum_of(self._group), False)
        self._stepped.step()

    @property
    def scheduler(self) -> Any:
        """The schedule that was given, or the trainer's."""
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a torch scheduler; a function of progress has none."""
        scheduler = self.scheduler
        return schedule_state(scheduler, self._current_optimizer) if isinstance(scheduler, TorchLRScheduler) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a torch scheduler and the options that it has set in the optimizer."""
        if isinstance(self.scheduler, TorchLRScheduler):
            restore_schedule(self.scheduler, self._current_optimizer, state_dict)

    @property
    def _current_optimizer(self) -> Optimizer:
        return self._optimizer or self.trainer.optimizer

    def _enter(self, scheduler: TorchLRScheduler) -> None:
        """Set a torch scheduler to the first step of this training; it may have been used in an earlier training."""
        refuse_metric_schedulers(scheduler)
        start = self.trainer.start_iter
        if isinstance(scheduler, LRMultiplier):
            if scheduler.last_epoch != start:
                scheduler.step(start)
        elif self._first is None or self._first[0] != start:
            self._first = start, copy.deepcopy(schedule_state(scheduler, self._current_optimizer))
        else:  # the same steps again: torch's schedulers cannot step back, so restore the state of the first step
            restore_schedule(scheduler, self._current_optimizer, copy.deepcopy(self._first[1]))


def _representative(optimizer: Optimizer) -> dict[str, Any]:
    """Return the group whose learning rate is recorded.

    It is the group with the most parameters; if each group has one parameter, a group with the most frequent rate.
    """
    groups = optimizer.param_groups
    largest = max(len(group["params"]) for group in groups)
    if largest == 1:
        rates = [group["lr"] for group in groups]
        common = max(rates, key=rates.count)
        return groups[rates.index(common)]
    return next(group for group in groups if len(group["params"]) == largest)
