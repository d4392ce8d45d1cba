"""Metrics for TensorBoard."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..events import VALIDATION
from .new_values import NewValuesWriter

if TYPE_CHECKING:
    from .event_file import EventFile


class TensorboardXWriter(NewValuesWriter):
    """Writes scalars, images and histograms as TensorBoard events; all scalars of an iteration are one event.

    TensorBoard draws the scalars of one name in one plot, a line for each run, and a run is a folder with event files.
    So "validation/total_loss" is written as "total_loss" into the folder "validation" below the others: a second line
    in the plot of the training's "total_loss", without a setting.

    The name is detectron2's; what writes is the package tensorboard, loaded at the first write.

    Args:
        log_dir: the folder of the event files.
        window_size: iterations over which medians are taken.
        filename_suffix: the end of the names of the event files.
    """

    def __init__(self, log_dir: str, window_size: int = 20, *, filename_suffix: str = "") -> None:
        super().__init__(window_size)
        self._log_dir = str(log_dir)
        self._filename_suffix = filename_suffix
        self._files: dict[str, EventFile] = {}  # by folder
        self._purge_from: int | None = None
        self._purged: set[str] = set()

    def write(self) -> None:
        """Write the scalars, images and histograms since the last write."""
        for iteration, event in self.new_scalars():
            for folder, scalars in _by_folder(event).items():
                self._writer(folder).add(step=iteration, summary=_scalars(scalars))
        for name, image, iteration in self.new_images():
            self._writer().add(step=iteration, summary=_image(name, image))
        for histogram in self.new_histograms():
            values = dict(histogram)
            name, iteration = values.pop("tag"), values.pop("global_step")
            self._writer().add(step=iteration, summary=_histogram(name, values))
        for file in self._files.values():
            file.push()

    def flush(self) -> None:
        """Wait until the events are on the disk."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close the event files that were opened."""
        with ExitStack() as stack:  # each is closed, whatever becomes of the others
            while self._files:
                stack.callback(self._files.popitem()[1].close)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last event that the checkpoint knows of; TensorBoard hides later ones of the old files."""
        super().load_state_dict(state)
        self._purge_from = self._last_write + 1
        self._purged = set()

    def _writer(self, folder: str = "") -> "EventFile":
        if folder not in self._files:
            from .event_file import EventFile

            file = self._files[folder] = EventFile(Path(self._log_dir, folder), self._filename_suffix)
            if self._purge_from is not None and folder not in self._purged:
                file.add(step=self._purge_from, session_log=_session_start())
                self._purged.add(folder)
        return self._files[folder]


def _by_folder(values: dict[str, float]) -> dict[str, dict[str, float]]:
    """Split {name: value} by the folder, below that of the run, into which the scalar goes under its own name."""
    held_out = {name.removeprefix(VALIDATION): value for name, value in values.items() if name.startswith(VALIDATION)}
    others = {name: value for name, value in values.items() if not name.startswith(VALIDATION)}
    return {folder: part for folder, part in (("", others), (VALIDATION.rstrip("/"), held_out)) if part}


def _scalars(values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _image(name: str, image: Tensor) -> Any:
    from torch.utils.tensorboard import summary

    return summary.image(name, image, dataformats="CHW")


def _histogram(name: str, values: dict[str, Any]) -> Any:
    from torch.utils.tensorboard import summary

    return summary.histogram_raw(name, **values)


def _session_start() -> Any:
    """Return what makes TensorBoard drop what other files hold at and after the step of its event."""
    from tensorboard.compat.proto.event_pb2 import SessionLog

    return SessionLog(status=SessionLog.START)
