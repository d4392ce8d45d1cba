"""When metrics are written."""

from collections.abc import Callable, Sequence
from typing import Any

from ..metrics.events import EventWriter
from ..run.best_effort import BestEffort
from ..train_loop import WRITE, HookBase


class PeriodicWriter(HookBase):
    """Lets writers write every `period` steps, at the last one, and after the end of a finished run.

    If the run fails or is interrupted, nothing extra is written: the unwritten values are in the checkpoint, and the
    resumed run writes them. A writer that fails does not end the run, nor keep the other writers from writing; the log
    says so, at the end too (see BestEffort).

    Args:
        writers: the writers, asked in this order.
        period: number of steps; 0 means at the end only.

    Raises:
        TypeError: one of the writers is not an EventWriter.
    """

    stage = WRITE

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            if not isinstance(writer, EventWriter):
                raise TypeError(f"a writer is a subclass of EventWriter; got {type(writer).__name__}")
        self._writers = list(writers)
        self._period = period
        self._effort = BestEffort()

    def after_step(self) -> None:
        """Write, if it is time."""
        if self.every(self._period) or self.is_last_iter() or self.trainer.ends_after_this_step:
            self._write()

    def after_train(self) -> None:
        """Write what came after the last step, such as the final evaluation; close all writers."""
        if self.is_finished():
            self._write()
        for writer in self._writers:
            self._attempt(writer, writer.close)
        self._effort.report()

    def flush(self) -> None:
        """Make what was written so far durable; called before a checkpoint, which does not fail with the metrics."""
        for writer in self._writers:
            self._attempt(writer, writer.flush)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the writers, by class and place."""
        states = {key: writer.state_dict() for key, writer in self._named()}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each writer the state of its class, whatever stands before it now; a new one has none."""
        waiting: dict[str, list[Any]] = {}
        for key, state in state_dict.items():
            waiting.setdefault(key.partition("#")[0], []).append(state)
        for writer in self._writers:
            if states := waiting.get(type(writer).__qualname__):
                writer.load_state_dict(states.pop(0))

    def _write(self) -> None:
        for writer in self._writers:
            self._attempt(writer, writer.write)
        # All of them have seen these by now; kept longer, they would only take memory.
        storage = self.trainer.storage
        storage.clear_images()
        storage.clear_histograms()

    def _attempt(self, writer: EventWriter, action: Callable[[], object]) -> None:
        self._effort.attempt(f"the metrics of {type(writer).__name__}", action)

    def _named(self) -> list[tuple[str, EventWriter]]:
        return [(f"{type(writer).__qualname__}#{index}", writer) for index, writer in enumerate(self._writers)]
