"""What writers share that write each value once."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..events import EventWriter, get_event_storage


class NewValuesWriter(EventWriter):
    """Hands its subclass what is new in the storage, and remembers over a resume what was written.

    Nothing is taken out of the storage: every writer sees everything, whichever writes first.

    Args:
        window_size: iterations over which medians are taken.
    """

    def __init__(self, window_size: int = 20) -> None:
        self._window_size = window_size
        self._last_write = -1
        self._images: Sequence[Any] = ()
        self._histograms: Sequence[Any] = ()

    def new_scalars(self) -> list[tuple[int, dict[str, float]]]:
        """Return [(iteration, {name: value}), ...], oldest first, of the values since the last call, smoothed."""
        found: dict[int, dict[str, float]] = {}
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._last_write:
                found.setdefault(iteration, {})[name] = value
        self._last_write = max(found, default=self._last_write)
        return sorted(found.items())

    def new_images(self) -> list[tuple[str, Tensor, int]]:
        """Return (name, picture, iteration) of the pictures since the last call."""
        before, self._images = self._images, get_event_storage().images()
        return _added(before, self._images)

    def new_histograms(self) -> list[dict[str, Any]]:
        """Return the histograms since the last call, as TensorBoard's `histogram_raw` takes them."""
        before, self._histograms = self._histograms, get_event_storage().histograms()
        return _added(before, self._histograms)

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration of the last value that was written."""
        return {"last_write": self._last_write}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last value that the checkpoint knows of."""
        self._last_write = state["last_write"]


def _added(before: Sequence[Any], now: Sequence[Any]) -> list[Any]:
    """Return those of `now` that are not in `before`, by identity, which holds because `before` keeps them alive."""
    known = {id(item) for item in before}
    return [item for item in now if id(item) not in known]
