"""A training script as a project has one, of a model that trains in a second, and that can be told to fail."""

import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from steploop.config import CfgNode
from steploop.engine import HookBase, comm, main
from steploop.engine.distributed.launchers import count_restarts
from tiny_project import TinyTrainer

PAUSE = threading.Event()


class Fail(HookBase):
    """Kills rank 1 (FAIL=kill), or raises in it (FAIL=raise), before step 25 of the first start."""

    def before_step(self) -> None:
        if self.trainer.iter != 25 or comm.get_rank() != 1 or count_restarts(os.environ):
            return
        if os.environ.get("FAIL") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif os.environ.get("FAIL") == "raise":
            raise LookupError("told to raise")


class Pace(HookBase):
    """Makes each step of the first start take SECONDS_PER_STEP."""

    def before_step(self) -> None:
        if not count_restarts(os.environ):
            PAUSE.wait(float(os.environ.get("SECONDS_PER_STEP", "0")))


class TinyRun(TinyTrainer):
    """Trains the tiny model."""

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        self.register_hooks([Pace(), Fail()])

    def train(self) -> Mapping[str, Any]:
        if not count_restarts(os.environ):
            # A launcher that sees one rank leave with exit code 75 ends the others: rank 0 takes its time to save.
            seconds_to_save = float(os.environ.get("SECONDS_TO_SAVE", "0"))
            self.checkpointer.before_visible.append(lambda: PAUSE.wait(seconds_to_save))
        return super().train()


if __name__ == "__main__":
    main(TinyRun)
