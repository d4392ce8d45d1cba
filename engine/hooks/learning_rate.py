"""The learning rate and the momentum of each step."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as TorchLRScheduler

from ..solver.lr_scheduler import LRMultiplier
from ..solver.momentum import momentum_of
from ..train_loop import HookBase


class LRScheduler(HookBase):
    """Steps a schedule after each step, and records the learning rate that the step used as "lr".

    The momentum is recorded too, as "momentum", if the schedule moves it (has a true `cycle_momentum`, as torch's
    OneCycleLR).

    Args:
        optimizer: the trainer's if None.
        scheduler: a torch scheduler, or a function of progress in 0..1 (an fvcore ParamScheduler), which multiplies the
            learning rates; the trainer's `scheduler` if None.
    """

    trainer: Any  # one with an optimizer and a scheduler, where they are not given

    def __init__(self, optimizer: Optimizer | None = None, scheduler: Any = None) -> None:
        self._optimizer = optimizer
        self._scheduler = scheduler

    def before_train(self) -> None:
        """Find the optimizer and the schedule."""
        self._optimizer = self._optimizer or self.trainer.optimizer
        self._scheduler = self.scheduler
        if not isinstance(self._scheduler, TorchLRScheduler):
            self._scheduler = LRMultiplier(
                self._optimizer, self._scheduler, self.trainer.max_iter, last_iter=self.trainer.iter - 1
            )
        self._group = _representative(self._optimizer)
        self._moves_momentum = getattr(self._scheduler, "cycle_momentum", False)

    def after_step(self) -> None:
        """Record the rate, then set the next step's."""
        rate = self._group["lr"]
        self.trainer.storage.put_scalar("lr", rate, False)
        if self._moves_momentum:
            self.trainer.storage.put_scalar("momentum", momentum_of(self._group), False)
        self._scheduler.step()

    @property
    def scheduler(self) -> Any:
        """The schedule that is stepped."""
        return self._scheduler or self.trainer.scheduler

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a torch scheduler; a plain function has none."""
        scheduler = self.scheduler
        return scheduler.state_dict() if isinstance(scheduler, TorchLRScheduler) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a torch scheduler."""
        if isinstance(self.scheduler, TorchLRScheduler):
            self.scheduler.load_state_dict(state_dict)


def _representative(optimizer: Optimizer) -> dict[str, Any]:
    """Return the group whose learning rate is shown: the largest, or, of groups of one, one with the commonest rate."""
    groups = optimizer.param_groups
    largest = max(len(group["params"]) for group in groups)
    if largest == 1:
        rates = [group["lr"] for group in groups]
        common = max(rates, key=rates.count)
        return groups[rates.index(common)]
    return next(group for group in groups if len(group["params"]) == largest)
