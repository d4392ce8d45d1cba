"""Metrics for TensorBoard."""

from typing import Any

from ..events import EventWriter, get_event_storage


class TensorboardXWriter(EventWriter):
    """Writes scalars, images and histograms as TensorBoard events; all scalars of an iteration are one event.

    The name is detectron2's; what writes is torch.utils.tensorboard, loaded at the first write.

    Args:
        log_dir: the folder of the event files.
        window_size: iterations over which medians are taken.
        kwargs: passed to torch.utils.tensorboard.FileWriter.
    """

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        self._log_dir = str(log_dir)
        self._window_size = window_size
        self._kwargs = kwargs
        self._file: Any = None
        self._last_write = -1
        self._purge_from: int | None = None

    def write(self) -> None:
        """Write what is newer than the last write, and the waiting images and histograms."""
        from torch.utils.tensorboard import summary

        storage = get_event_storage()
        events: dict[int, dict[str, float]] = {}
        for name, (value, iteration) in storage.latest_with_smoothing_hint(self._window_size).items():
            if iteration > self._last_write:
                events.setdefault(iteration, {})[name] = value
        for iteration in sorted(events):
            self._writer().add_summary(_scalars(events[iteration]), iteration)
            self._last_write = iteration
        for name, image, iteration in storage.images():
            self._writer().add_summary(summary.image(name, image, dataformats="CHW"), iteration)
        storage.clear_images()
        for histogram in storage.histograms():
            values = dict(histogram)
            name, iteration = values.pop("tag"), values.pop("global_step")
            self._writer().add_summary(summary.histogram_raw(name, **values), iteration)
        storage.clear_histograms()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the event file, if one was opened."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> dict[str, Any]:
        """Return the iteration of the last event."""
        return {"last_write": self._last_write}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last event that the checkpoint knows of; TensorBoard hides later ones of the old files."""
        self._last_write = state["last_write"]
        self._purge_from = self._last_write + 1

    def _writer(self) -> Any:
        if self._file is None:
            from torch.utils.tensorboard import FileWriter

            self._file = FileWriter(self._log_dir, **self._kwargs)
            if self._purge_from is not None:
                self._file.add_event(_session_start(), self._purge_from)
                self._purge_from = None
        return self._file


def _scalars(values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _session_start() -> Any:
    """Return the event that makes TensorBoard drop what other files hold at and after its step."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    return Event(session_log=SessionLog(status=SessionLog.START))
