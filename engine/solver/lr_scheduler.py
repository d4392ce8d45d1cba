"""The learning rate as a function of the step."""

import math
from typing import Any

import torch
from fvcore.common.param_scheduler import ParamScheduler
from torch.optim.lr_scheduler import LRScheduler

from .momentum import MomentumSchedule

# Schedules are functions on [0, 1); some raise at 1.
_BEFORE_END = math.nextafter(1.0, 0.0)

# Number of steps whose factors are computed together. Computed one by one, between the kernels of a model, each would
# take three times as long.
_BLOCK = 256


class WarmupParamScheduler(ParamScheduler):
    """Replaces the beginning of a schedule by a warm-up."""

    def __init__(
        self,
        scheduler: ParamScheduler,
        warmup_factor: float,
        warmup_length: float,
        warmup_method: str = "linear",
        rescale_interval: bool = False,
    ) -> None:
        """Start at `warmup_factor * scheduler(0)`.

        Args:
            scheduler: the schedule after the warm-up.
            warmup_factor: where the warm-up starts, relative to the schedule's first value.
            warmup_length: share of the whole run, in [0, 1].
            warmup_method: "linear" and "exponential" rise to the schedule's value at the end of the warm-up, with equal
                differences or equal ratios from step to step; "constant" stays at its first value.
            rescale_interval: True starts the schedule at its beginning after the warm-up and compresses it into the
                rest of the run; False skips the part of the schedule during the warm-up.

        Raises:
            ValueError: an unknown method, a length outside [0, 1], or an exponential warm-up from or to 0.
        """
        if warmup_method not in ("linear", "constant", "exponential"):
            raise ValueError(
                f"a warm-up (SOLVER.WARMUP_METHOD) is 'linear', 'constant' or 'exponential', got {warmup_method!r}"
            )
        if not 0.0 <= warmup_length <= 1.0:
            raise ValueError(f"the length of a warm-up is a share of the run in [0, 1], got {warmup_length}")
        self._scheduler = scheduler
        self._length = warmup_length
        self._rescale = rescale_interval
        self._start = warmup_factor * scheduler(0.0)
        joins_at = scheduler(0.0 if rescale_interval else min(warmup_length, _BEFORE_END))
        self._end = self._start if warmup_method == "constant" else joins_at
        self._exponential = warmup_method == "exponential"
        if self._exponential and min(self._start, self._end) <= 0.0:
            raise ValueError(
                f"an exponential warm-up has no way from {self._start} to {self._end}: start it above 0 "
                "(SOLVER.WARMUP_FACTOR), or make it 'linear'"
            )

    def __call__(self, where: float) -> float:
        """Return the factor at `where`, the share of the run that is done, in [0, 1)."""
        if where < self._length:
            done = where / self._length
            if self._exponential:
                return self._start * (self._end / self._start) ** done
            return self._start * (1.0 - done) + self._end * done
        if self._rescale:
            return self._scheduler(min((where - self._length) / (1.0 - self._length), _BEFORE_END))
        return self._scheduler(where)


class LRMultiplier(LRScheduler):
    """Sets each group's learning rate to its initial value times a function of the step; can set the momentum too.

    It subclasses torch's LRScheduler but does not use its implementation: it does not wrap `optimizer.step` and does
    not warn about the order of calls. A step costs about one multiplication per group.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        multiplier: ParamScheduler,
        max_iter: int,
        last_iter: int = -1,
        *,
        momentum: MomentumSchedule | None = None,
    ) -> None:
        """Set the learning rate of iteration `last_iter + 1`.

        Args:
            optimizer: its groups' "initial_lr", or "lr" if there is none, is multiplied by the factor.
            multiplier: maps the share of the run that is done, in [0, 1), to a factor.
            max_iter: number of iterations of the whole run.
            last_iter: the last completed iteration; -1 at the start.
            momentum: the schedule of the same optimizer's momentum; None does not change the momentum.

        Raises:
            TypeError: `multiplier` is not a ParamScheduler (a torch scheduler is not a function of progress).
            ValueError: `max_iter` is not positive.
        """
        if not isinstance(multiplier, ParamScheduler):
            raise TypeError(f"the multiplier is a ParamScheduler of fvcore, got {type(multiplier).__name__}")
        if max_iter < 1:
            raise ValueError(f"a schedule needs at least 1 iteration, got max_iter={max_iter}")
        self.optimizer = optimizer
        self._multiplier = multiplier
        self._max_iter = max_iter
        self._momentum = momentum
        self._block: int | None = None
        self._factors: list[float] = []
        # The name that torch's own schedulers use; the hook LRScheduler records the momentum if it is True.
        self.cycle_momentum = momentum is not None
        # A second scheduler on the same optimizer must not multiply what the first has already multiplied.
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_iter
        self.step()

    def factor(self, step: int) -> float:
        """Return the factor of iteration `step`; after the end of the run, that of the last step."""
        block, place = divmod(min(step, self._max_iter - 1), _BLOCK)
        if block != self._block:
            # Steps of the run only: some schedules raise close to 1 (fvcore's StepWithFixedGammaParamScheduler).
            steps = range(block * _BLOCK, min((block + 1) * _BLOCK, self._max_iter))
            self._block, self._factors = block, [self._multiplier(self._progress(step)) for step in steps]
        return self._factors[place]

    def get_lr(self) -> list[Any]:
        """Return each group's learning rate at the current iteration, `last_epoch`."""
        factor = self.factor(self.last_epoch)
        return [base_lr * factor for base_lr in self.base_lrs]

    def get_last_lr(self) -> list[Any]:
        """Return each group's current learning rate in the optimizer."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Set the learning rate of the next iteration, or of iteration `epoch` if it is given."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        factor = self.factor(self.last_epoch)
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = base_lr * factor
        if self._momentum is not None:
            self._momentum.set_to(self._progress(self.last_epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration and the initial learning rates; `load_state_dict` uses the rates only on request."""
        return {"base_lrs": list(self.base_lrs), "last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any], *, restore_base_lrs: bool = False) -> None:
        """Jump to the saved iteration.

        Args:
            state_dict: the result of `state_dict`.
            restore_base_lrs: also restore the saved initial learning rates. By default the optimizer's own are used, so
                that a learning rate that was changed in the config takes effect on resume.

        Raises:
            ValueError: the number of saved learning rates is not the number of groups.
        """
        if restore_base_lrs:
            saved = list(state_dict["base_lrs"])
            if len(saved) != len(self.base_lrs):
                raise ValueError(
                    f"{len(saved)} learning rates were saved, the optimizer has {len(self.base_lrs)} groups"
                )
            self.base_lrs = saved
        self.step(state_dict["last_epoch"])

    def _progress(self, step: int) -> float:
        return min(step, self._max_iter - 1) / self._max_iter
