"""When metrics are read, reduced over processes, and checked."""

from collections.abc import Iterable

from ..distributed import comm
from .events import EventStorage
from .losses import check_finite
from .reduction import MetricReducer

# What a process asks the others for at a reading.
NO_STOP, STOP, STOP_AND_REQUEUE = 0, 1, 2


def next_end(period: int, iteration: int) -> int:
    """Return the first iteration after `iteration` that ends a block of `period` > 0 iterations."""
    return (iteration + 1) // period * period + period - 1


class MetricReader:
    """Reads the metrics of one training at the ends of its periods, in all processes at the same steps.

    This is the only place where processes exchange metrics: one gathered tensor for each reading.

    Args:
        storage: what is read.
        periods: metrics are read at the last step of every such period, and at the last step of the run; 0 is none.
        start_iter: the first step of the training.
        max_iter: one past the last step.
        points: numbers of steps after which metrics are read, too.

    Attributes:
        next_reading: the next step at which metrics are read.
    """

    def __init__(
        self,
        storage: EventStorage,
        periods: Iterable[int],
        start_iter: int,
        max_iter: int,
        *,
        points: Iterable[int] = (),
    ) -> None:
        self._storage = storage
        # Older values leave the storage's window: a loss that is not finite must be found before that.
        self._periods = [period for period in periods if period] + [storage.window]
        self._points = sorted(points)
        self._last_iter = max_iter - 1
        self._reducer = MetricReducer()
        self._is_shared = comm.get_world_size() > 1
        self._read_until = start_iter - 1
        self.next_reading = self._after(self._read_until)

    def read(self, iteration: int, request: int = NO_STOP) -> int:
        """Read what was measured since the last reading.

        Args:
            iteration: the current step.
            request: what this process asks for: NO_STOP, STOP or STOP_AND_REQUEUE.

        Returns:
            The largest request of all processes; with one process, `request`.

        Raises:
            NonFiniteLoss: a loss in between was not finite. Raised in every process, at the same step.
        """
        first = self._read_until + 1
        if self._is_shared:
            # From the step that was read last: its hooks may have put tensors after that reading.
            request = self._reduce(self._read_until, iteration, request)
        self._read_until = iteration
        self.next_reading = self._after(iteration)
        check_finite(self._storage, first)
        return request

    def read_again(self, iteration: int) -> None:
        """Reduce what hooks have put since `read` at the same step, so that writers see it at this step."""
        if self._is_shared:
            self._reduce(iteration, iteration, NO_STOP)

    def _reduce(self, first: int, last: int, request: int) -> int:
        reduced, request = self._reducer(self._storage.local_values(), first, last, request)
        self._storage.set_reduced(reduced)
        return request

    def _after(self, iteration: int) -> int:
        points = (point - 1 for point in self._points if point - 1 > iteration)
        return min([*(next_end(period, iteration) for period in self._periods), *points, self._last_iter])
