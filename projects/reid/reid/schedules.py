"""Learning rates that move at the end of an epoch, as those of fast-reid's configs do."""

import math
from collections.abc import Sequence

import torch
from fvcore.common.param_scheduler import ParamScheduler

from steploop.config import CfgNode
from steploop.engine import LRMultiplier

NAMES = ("EpochMultiStepLR", "EpochCosineLR")
_WARMUPS = ("linear", "constant", "exponential")


class EpochSchedule(ParamScheduler):
    """A factor of the learning rate: a warm-up by iteration, then a function of the number of epochs.

    The number s of epochs that count is 0 until the first epoch that ends after both the warm-up and the delay. So the
    milestones of a multi-step schedule are late by the epochs of the warm-up, as in fast-reid.

    Args:
        name: "EpochMultiStepLR" is ``gamma ** (number of steps <= s)``; "EpochCosineLR" falls from 1 to `end` like half
            a cosine over the epochs that are left.
        epoch_iters: iterations of an epoch.
        num_epochs: of the whole run.
        steps: epochs, for multi-step.
        gamma: for multi-step.
        end: the last factor, for the cosine.
        delay_epochs: epochs before anything falls.
        warmup_iters: iterations of the warm-up.
        warmup_factor: where it starts.
        warmup_method: "linear", "constant" or "exponential".

    Raises:
        ValueError: a name or a number is wrong.
    """

    def __init__(
        self,
        name: str,
        *,
        epoch_iters: int,
        num_epochs: int,
        steps: Sequence[int] = (),
        gamma: float = 0.1,
        end: float = 0.0,
        delay_epochs: int = 0,
        warmup_iters: int = 0,
        warmup_factor: float = 0.1,
        warmup_method: str = "linear",
    ) -> None:
        if name not in NAMES or warmup_method not in _WARMUPS:
            raise ValueError(
                f"expected a schedule of {', '.join(NAMES)} and a warm-up of {', '.join(_WARMUPS)}, "
                f"got {name!r} and {warmup_method!r}"
            )
        if epoch_iters < 1 or num_epochs < 1 or warmup_iters < 0 or delay_epochs < 0:
            raise ValueError(
                "a schedule by epochs needs at least 1 iteration in an epoch and 1 epoch (SOLVER.MAX_EPOCH), and no "
                f"negative warm-up or delay; got {epoch_iters}, {num_epochs}, {warmup_iters} and {delay_epochs}"
            )
        if warmup_method == "exponential" and not warmup_factor > 0:
            raise ValueError(f"an exponential warm-up starts above 0, got SOLVER.WARMUP_FACTOR {warmup_factor}")
        self._name, self._epoch_iters, self._num_epochs = name, epoch_iters, num_epochs
        self._steps, self._gamma, self._end = tuple(steps), gamma, end
        self._warmup_iters, self._warmup_factor, self._warmup_method = warmup_iters, warmup_factor, warmup_method
        warmup_epochs = math.ceil(warmup_iters / epoch_iters)
        # The first epoch at whose end the schedule moves.
        self._first = max(warmup_epochs, delay_epochs + 1)
        self._span = max(1, num_epochs - max(warmup_epochs, delay_epochs))

    def __call__(self, where: float) -> float:
        """Return the factor at `where`, the share of the run that is done, in [0, 1)."""
        return self.at(round(where * self._num_epochs * self._epoch_iters))

    def at(self, iteration: int) -> float:
        """Return the factor of an iteration, counted from 0."""
        if iteration < self._warmup_iters:
            return self._warm_up(iteration / self._warmup_iters)
        count = max(0, iteration // self._epoch_iters - self._first + 1)
        if self._name == "EpochMultiStepLR":
            return self._gamma ** sum(step <= count for step in self._steps)
        share = min(1.0, count / self._span)
        return self._end + (1 - self._end) * (1 + math.cos(math.pi * share)) / 2

    def _warm_up(self, done: float) -> float:
        if self._warmup_method == "exponential":
            return self._warmup_factor ** (1 - done)
        return self._warmup_factor if self._warmup_method == "constant" else self._warmup_factor * (1 - done) + done


def build_epoch_schedule(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> LRMultiplier:
    """Build the schedule by epochs of SOLVER, whose lengths are iterations by now; EPOCH_ITERS is an epoch's.

    Raises:
        ValueError: a setting is out of its range.
    """
    solver = cfg.SOLVER
    epoch = solver.EPOCH_ITERS
    schedule = EpochSchedule(
        solver.LR_SCHEDULER_NAME,
        epoch_iters=epoch,
        num_epochs=max(1, round(solver.MAX_ITER / epoch)),
        steps=[round(step / epoch) for step in solver.STEPS],
        gamma=solver.GAMMA,
        end=solver.BASE_LR_END / solver.BASE_LR,
        delay_epochs=round(solver.DELAY_ITERS / epoch),
        warmup_iters=solver.WARMUP_ITERS,
        warmup_factor=solver.WARMUP_FACTOR,
        warmup_method=solver.WARMUP_METHOD,
    )
    return LRMultiplier(optimizer, schedule, max(solver.MAX_ITER, 1))
