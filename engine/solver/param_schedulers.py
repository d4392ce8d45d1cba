"""Schedules that fvcore does not have, as functions of progress: the share of the run that is done, in [0, 1)."""

import bisect
import math
from collections.abc import Sequence

from fvcore.common.param_scheduler import ParamScheduler


class MultiStep(ParamScheduler):
    """gamma ** (number of milestones reached); changes exactly at the milestones, for any length of the run."""

    def __init__(self, milestones: Sequence[int], gamma: float, max_iter: int) -> None:
        """Set the milestones (increasing iterations), the factor, and the number of iterations of the run."""
        self._milestones = milestones
        self._values = [gamma**k for k in range(len(milestones) + 1)]
        self._max_iter = max_iter

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        # Rounding recovers the exact iteration; a fixed tolerance on `where` would be too large in runs of a million.
        return self._values[bisect.bisect_right(self._milestones, round(where * self._max_iter))]


class Polynomial(ParamScheduler):
    """end + (1 - end) * (1 - where) ** power (arXiv:1606.00915)."""

    def __init__(self, end: float, power: float) -> None:
        self._end = end
        self._power = power

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        return self._end + (1.0 - self._end) * (1.0 - where) ** self._power


class OneCycle(ParamScheduler):
    """Up from `start` to `peak`, then down to `end` at the last iteration (arXiv:1708.07120).

    It has the values of torch.optim.lr_scheduler.OneCycleLR with two phases, which is a function of the step.

    Args:
        start: the first value.
        peak: the value at iteration ``rise * max_iter - 1``.
        end: the value at iteration ``max_iter - 1``.
        rise: share of the run in which the value rises, in [0, 1).
        max_iter: number of iterations of the whole run.
        anneal: "cos" or "linear": the interpolation between the values.

    Raises:
        ValueError: `rise` is outside [0, 1), or `anneal` is neither of the two.
    """

    def __init__(self, start: float, peak: float, end: float, rise: float, max_iter: int, anneal: str = "cos") -> None:
        if not 0.0 <= rise < 1.0:
            raise ValueError(f"the rise of a cycle (SOLVER.ONE_CYCLE.PCT_START) is a share in [0, 1), got {rise}")
        if anneal not in ("cos", "linear"):
            raise ValueError(f"a cycle (SOLVER.ONE_CYCLE.ANNEAL) moves by 'cos' or 'linear', got {anneal!r}")
        self._values = start, peak, end
        self._peak_step = rise * max_iter - 1  # a float: torch does not round it
        self._max_iter = max_iter
        self._cosine = anneal == "cos"

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        start, peak, end = self._values
        step = min(round(where * self._max_iter), self._max_iter - 1)
        if step <= self._peak_step:
            return self._between(start, peak, step / self._peak_step if self._peak_step > 0 else 1.0)
        return self._between(peak, end, (step - self._peak_step) / (self._max_iter - 1 - self._peak_step))

    def _between(self, first: float, last: float, done: float) -> float:
        if self._cosine:
            done = (1.0 - math.cos(math.pi * done)) / 2.0
        return first + (last - first) * done


class Staircase(ParamScheduler):
    """Another schedule's value at the beginning of each of `stairs` equal parts of the run."""

    def __init__(self, scheduler: ParamScheduler, stairs: int) -> None:
        """Take the schedule, and the number of parts, >= 1."""
        self._scheduler = scheduler
        self._stairs = stairs

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        # A part begins at a whole number of iterations, which `where` meets with an error of rounding.
        return self._scheduler(math.floor(where * self._stairs + 1e-9) / self._stairs)


class MultipliedWarmup(ParamScheduler):
    """Another schedule times a factor that grows from `factor` to 1 during the first part of the run.

    Args:
        scheduler: the schedule.
        factor: at the beginning.
        length: share of the run, in (0, 1].
        method: "linear"; "exponential", with equal ratios; "constant", `factor` all the way.
    """

    def __init__(self, scheduler: ParamScheduler, factor: float, length: float, method: str) -> None:
        self._scheduler = scheduler
        self._factor = factor
        self._length = length
        self._method = method

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        value = self._scheduler(where)
        if where >= self._length:
            return value
        left = 1.0 - where / self._length
        if self._method == "constant":
            return value * self._factor
        if self._method == "exponential":
            return value * self._factor**left
        return value * (1.0 - left * (1.0 - self._factor))


class Delayed(ParamScheduler):
    """Another schedule's first value for a share of the run, then the whole schedule in the rest of the run."""

    def __init__(self, scheduler: ParamScheduler, delay: float) -> None:
        """Set the schedule, and the share of the run before it starts, in [0, 1)."""
        self._scheduler = scheduler
        self._delay = delay

    def __call__(self, where: float) -> float:
        """Return the value at `where`, in [0, 1)."""
        return self._scheduler(max(where - self._delay, 0.0) / (1.0 - self._delay))
