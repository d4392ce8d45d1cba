"""Trains re-identification and tells another process where it is, so that this can kill it at a chosen moment.

It takes the arguments of projects/reid/train_net.py. The environment says what to tell and where to die:

    STEPLOOP_WATCH_FIFO   a FIFO, to which rank 0 writes lines "MOMENT STEP"
    STEPLOOP_WATCH_END    the "MOMENT STEP" at which it will be killed: a hook point, after which it goes on no further
                          than to the next one, or a moment of the save of that step, at which it stands still
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steploop.config import CfgNode
from steploop.engine import HookBase, comm, main
from steploop.engine.checkpoint import writer
from steploop.engine.run import files
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.trainer import ReidTrainer

# The moments of a save, in order: the file is half written; whole, but not visible; visible, but not in the folder's
# durable entries and not what last_checkpoint names; the pointer's new file is whole, but not visible; both are there.
SAVE_MOMENTS = ("half written", "not renamed", "renamed", "pointer not renamed", "pointer renamed")


class Watch(HookBase):
    """Tells at which step and hook point the run is.

    Args:
        tell: called with the hook point and the step.
        end: the (hook point, step) after which the run is killed, or something else if it is not.
    """

    def __init__(self, tell: Callable[[str, int], None], end: tuple[str, int]) -> None:
        self._tell = tell
        self._end = end
        self._is_doomed = False

    def before_step(self) -> None:
        """Tell."""
        self._reach("before_step")

    def after_backward(self) -> None:
        """Tell."""
        self._reach("after_backward")

    def after_step(self) -> None:
        """Tell; writers and checkpointer act after this."""
        self._reach("after_step")

    def after_train(self) -> None:
        """Tell; the final evaluation is made, and not written yet."""
        self._reach("after_train")

    def _reach(self, point: str) -> None:
        if self._is_doomed:
            stand_still()
        self._is_doomed = (point, self.trainer.iter) == self._end
        self._tell(point, self.trainer.iter)
        if self._is_doomed and point == "after_train":
            stand_still()  # there is no next hook point


class SaveWatch:
    """Stands still at one moment of one save, in the thread that saves.

    Args:
        moment: of `SAVE_MOMENTS`.
        step: the step whose checkpoint it is.
        last_step: the last step of the run, whose checkpoint has another name.
        tell: called with the moment and the step.
    """

    def __init__(self, moment: str, step: int, last_step: int, tell: Callable[[str, int], None]) -> None:
        self._moment = moment
        self._step = step
        self._tell = tell
        self._file = "model_final.pth" if step == last_step else f"model_{step:07d}.pth"

    def install(self) -> None:
        """Get in between the checkpointer and the file system."""
        write, replace = writer._FirstError.write, Path.replace

        def watched_write(file: Any, data: Any) -> int:
            if self._is_temporary(file._file.name, self._file):
                data = memoryview(data).cast("B")
                write(file, data[: len(data) // 2])
                self._reach("half written")
                data = data[len(data) // 2 :]
            return write(file, data)

        def watched_replace(path: Path, target: Any) -> Path:
            is_file = self._is_temporary(path, self._file)
            is_pointer = self._is_temporary(path, "last_checkpoint") and path.read_text() == self._file
            for applies, moment in ((is_file, "not renamed"), (is_pointer, "pointer not renamed")):
                if applies:
                    self._reach(moment)
            result = replace(path, target)
            for applies, moment in ((is_file, "renamed"), (is_pointer, "pointer renamed")):
                if applies:
                    self._reach(moment)
            return result

        writer._FirstError.write = watched_write  # type: ignore[method-assign, assignment]
        Path.replace = watched_replace  # type: ignore[method-assign, assignment]

    @staticmethod
    def _is_temporary(path: Any, name: str) -> bool:
        return Path(path).name.startswith(f".{name}.") and bool(files._TEMPORARY.match(Path(path).name))

    def _reach(self, moment: str) -> None:
        if moment == self._moment:
            self._tell(moment, self._step)
            stand_still()


def stand_still() -> None:
    """Wait for the signal 9."""
    threading.Event().wait()


class WatchedTrainer(ReidTrainer):
    """Trains re-identification under watch."""

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        if not comm.is_main_process():
            return
        fifo = os.open(os.environ["STEPLOOP_WATCH_FIFO"], os.O_WRONLY)

        def tell(point: str, step: int) -> None:
            os.write(fifo, f"{point} {step}\n".encode())

        moment, _, step = os.environ.get("STEPLOOP_WATCH_END", "never -1").rpartition(" ")
        self.register_hooks([Watch(tell, (moment, int(step)))])
        SaveWatch(moment, int(step), self.max_iter - 1, tell).install()


if __name__ == "__main__":
    main(WatchedTrainer, add_reid_config)
