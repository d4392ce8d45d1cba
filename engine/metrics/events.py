"""Where metrics are gathered while a run goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor

from ..distributed import comm
from .event_writer import EventWriter as EventWriter
from .history import HistoryBuffer
from .media import Media
from .names import renamed
from .pending import PendingTensors, check_one_element

Reduce = Literal["mean", "max"]
Points = list[tuple[float, int]]

# Begins the names of what was measured on held-out samples: "validation/total_loss" is a second line in the plot of
# "total_loss".
VALIDATION = "validation/"

_STORAGES: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """Return the storage of the training that runs.

    Raises:
        RuntimeError: nothing trains, so there is no storage.
    """
    if not _STORAGES:
        raise RuntimeError(
            "no EventStorage here: one exists inside `with EventStorage(...)`, that is, while a run trains"
        )
    return _STORAGES[-1]


def has_event_storage() -> bool:
    """Return True if `get_event_storage` would find one."""
    return bool(_STORAGES)


class EventStorage:
    """Gathers scalars, images and histograms of a run; asked by hooks and writers.

    Scalars may be numbers or 0-d tensors on any device. A tensor of an accelerator is copied there and read when
    somebody asks for it, so that putting one costs neither a synchronisation nor a graph; a number is noted, and
    sorted into its history when somebody asks. Nothing in this class communicates. With one process, a value is visible
    at once; with several, what is averaged over them (tensors, unless told otherwise) is visible after the trainer has
    done so.

    Args:
        start_iter: the iteration at which the storage starts.
        window: how many values of a scalar are held.
    """

    def __init__(self, start_iter: int = 0, *, window: int = 1000) -> None:
        self.start_iter = start_iter
        # The current iteration: set by the trainer before each step, to max_iter after a finished run.
        self.iter = start_iter
        self.window = window
        self._prefix = ""
        self._history: dict[str, HistoryBuffer] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        self._smoothing_hints: dict[str, bool] = {}
        self._smoothed: dict[str, tuple[float, int]] = {}  # what is known of `latest_with_smoothing_hint`
        self._smoothed_window = 0
        self._reduce: dict[str, Reduce] = {}
        self._fresh: dict[str, Points] = {}  # numbers that are not in their histories yet
        self._pending = PendingTensors()
        self._unreduced: dict[str, Points] = {}
        self._is_shared = comm.get_world_size() > 1
        self._media = Media()
        # Names that belong on the console, in order: the losses and metrics that the model returned.
        self.headlines: dict[str, None] = {}
        # Names that must be finite, beside the total losses: a value that is not ends the run (see check_finite).
        self.watched: set[str] = set()
        # Names that tell how fast this process is, and nothing of the run: a resumed run starts them anew.
        self.volatile: set[str] = {"time", "data_time", "rank_data_time", "eta_seconds"}

    # -- putting ------------------------------------------------------------------------------------

    def put_scalar(
        self,
        name: str,
        value: float | Tensor,
        smoothing_hint: bool = True,
        cur_iter: int | None = None,
        *,
        reduce: Reduce | None = None,
    ) -> None:
        """Record `value` under `name` at the current iteration.

        Args:
            name: the name; a prefix of `name_scope` is added. "iteration" becomes "metric/iteration".
            value: a number, or a tensor of one element on any device.
            smoothing_hint: whether writers may show a median over recent values. One name, one hint.
            cur_iter: the iteration to record it at, if not the current one.
            reduce: how the values of several processes become one: "mean" (the default for tensors),
                "max", or None: each process keeps its own (the default for numbers).

        Raises:
            ValueError: the hint differs from an earlier one, or the tensor has several elements.
        """
        name = self._prefix + name
        fresh = self._fresh.get(name)
        if fresh is None or self._smoothing_hints[name] is not smoothing_hint:
            if name == "iteration":
                name = renamed(name, "put_scalar")
            fresh = self._buffer_of(name, smoothing_hint)
        iteration = self.iter if cur_iter is None else cur_iter
        if type(value) is not float:
            if isinstance(value, Tensor):
                reduce = reduce or "mean"
                if not value.is_cpu:
                    self._put_on_device(name, value, iteration, reduce)
                    return
                if value.ndim:
                    check_one_element(name, value)
                value = value.item()  # on the CPU, reading waits for nothing and costs a tenth of a copy
            value = float(value)
        if reduce is not None and self._is_shared:
            self._reduce[name] = reduce
            self._unreduced.setdefault(name, []).append((value, iteration))
            return
        fresh.append((value, iteration))
        if len(fresh) >= self.window:
            self._read()

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **kwargs: float | Tensor
    ) -> None:
        """Put several scalars: `storage.put_scalars(loss=loss, accuracy=accuracy)`."""
        for name, value in kwargs.items():
            self.put_scalar(name, value, smoothing_hint, cur_iter)

    def put_image(self, img_name: str, img_tensor: Tensor) -> None:
        """Record a copy of a picture: (3, H, W), RGB, uint8 in 0..255 or float in 0..1; see `Media.put_image`."""
        self._media.put_image(self._prefix + img_name, img_tensor, self.iter)

    def put_histogram(self, hist_name: str, hist_tensor: Tensor, bins: int = 1000) -> None:
        """Record the distribution of the finite values of a tensor of any shape, in `bins` equal bins."""
        self._media.put_histogram(self._prefix + hist_name, hist_tensor, bins, self.iter)

    # -- asking -------------------------------------------------------------------------------------

    def history(self, name: str) -> HistoryBuffer:
        """Return the recent values of one scalar.

        Raises:
            KeyError: nothing was put under this name yet.
        """
        self._read()
        if name not in self._history:
            known = ", ".join(sorted(self._history)) or "none yet"
            raise KeyError(f"no scalar {name!r} was recorded; recorded: {known}")
        return self._history[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        """Return the recent values of all scalars."""
        self._read()
        return self._history

    def latest(self) -> dict[str, tuple[float, int]]:
        """Return {name: (last value, its iteration)}."""
        self._read()
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """Return `latest()`, with the median over the last `window_size` iterations where the hint allows it."""
        latest = self.latest()
        if window_size != self._smoothed_window:
            self._smoothed, self._smoothed_window = {}, window_size
        # Several writers ask for the same values: a median is computed once.
        for name in latest.keys() - self._smoothed.keys():
            value, iteration = latest[name]
            if self._smoothing_hints[name]:
                value = self._history[name].median(self.count_samples(name, window_size))
            self._smoothed[name] = (value, iteration)
        return {name: self._smoothed[name] for name in latest}

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """Return how many values a scalar got in the `window_size` iterations that end with its last one."""
        history = self.history(name)
        return len(history.since(self._latest[name][1] - window_size + 1))

    def since(self, iteration: int) -> dict[str, Points]:
        """Return {name: [(value, iteration), ...]}, unsmoothed, from `iteration` on; names without any are left out."""
        self._read()
        found = {name: history.since(iteration) for name, history in self._history.items()}
        return {name: points for name, points in found.items() if points}

    def smoothing_hints(self) -> dict[str, bool]:
        """Return {name: whether writers may smooth it}."""
        return self._smoothing_hints

    def images(self) -> list[tuple[str, Tensor, int]]:
        """Return the pictures put since `clear_images`, as (name, picture, iteration)."""
        return self._media.images()

    def histograms(self) -> list[dict[str, Any]]:
        """Return the histograms put since `clear_histograms`, as TensorBoard's `histogram_raw` takes them."""
        return self._media.histograms()

    def clear_images(self) -> None:
        """Forget the pictures; called when every writer has written them."""
        self._media.clear_images()

    def clear_histograms(self) -> None:
        """Forget the histograms; called when every writer has written them."""
        self._media.clear_histograms()

    # -- time and scope -----------------------------------------------------------------------------

    @property
    def iteration(self) -> int:
        """Another name of `iter`."""
        return self.iter

    def step(self) -> None:
        """Go on to the next iteration, where no trainer does it."""
        self.iter += 1

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put everything in this context under ``name/``."""
        outer = self._prefix
        self._prefix = name.rstrip("/") + "/"
        try:
            yield
        finally:
            self._prefix = outer

    def __enter__(self) -> "EventStorage":
        _STORAGES.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if _STORAGES.pop() is not self:
            raise RuntimeError("EventStorage contexts were closed in another order than they were opened")

    # -- what the trainer does with several processes -------------------------------------------------

    def local_values(self) -> dict[str, tuple[Reduce, Points]]:
        """Return and clear this process's values that are not reduced over processes yet, as {name: (how, points)}."""
        self._collect()
        taken, self._unreduced = self._unreduced, {}
        return {name: (self._reduce[name], points) for name, points in taken.items()}

    def set_reduced(self, reduced: dict[str, Points]) -> None:
        """Record values that are reduced over processes."""
        for name, points in reduced.items():
            self._smoothing_hints.setdefault(name, True)
            self._record(name, points)

    # -- state ----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the windows of all scalars but the volatile ones: a resumed run smooths over the same values."""
        self._read()
        return {
            "scalars": {
                name: {**history.state_dict(), "smoothing_hint": self._smoothing_hints[name]}
                for name, history in self._history.items()
                if name not in self.volatile
            },
            "headlines": list(self.headlines),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the windows of `state_dict()`."""
        for name, scalar in state["scalars"].items():
            self._history[name] = HistoryBuffer(self.window)
            self._history[name].load_state_dict(scalar)
            self._smoothing_hints[name] = scalar["smoothing_hint"]
            self._latest[name] = self._history[name].values()[-1]
        self.headlines = dict.fromkeys(state["headlines"])

    def _buffer_of(self, name: str, smoothing_hint: bool) -> Points:
        """Return the buffer of unread values of this scalar, which is made on first use.

        Raises:
            ValueError: the smoothing hint differs from an earlier one.
        """
        if self._smoothing_hints.setdefault(name, smoothing_hint) != smoothing_hint:
            raise ValueError(
                f"the scalar {name!r} was put with smoothing_hint={not smoothing_hint} before; keep to one"
            )
        return self._fresh.setdefault(name, [])

    def _put_on_device(self, name: str, value: Tensor, iteration: int, reduce: Reduce) -> None:
        self._reduce[name] = reduce
        if self._pending.is_full(name):
            self._collect()
        self._pending.put(name, value, iteration)

    def _record(self, name: str, points: Points) -> None:
        history = self._history.get(name)
        if history is None:
            history = self._history[name] = HistoryBuffer(self.window)
        history.extend(points)
        self._latest[name] = points[-1]
        self._smoothed.pop(name, None)

    def _read(self) -> None:
        for name, points in self._fresh.items():
            if points:
                self._record(name, points)
                points.clear()
        if not self._is_shared and self._pending:
            self._collect()

    def _collect(self) -> None:
        """Bring waiting tensors to the host; what is shared then waits to be reduced."""
        for name, points in self._pending.read().items():
            if self._is_shared:
                self._unreduced.setdefault(name, []).extend(points)
            else:
                self.set_reduced({name: points})
