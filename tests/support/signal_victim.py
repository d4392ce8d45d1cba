"""Trains in processes that a test can send signals to; run as `python signal_victim.py FOLDER PROCESSES OVERRIDES...`.

For each line on stdin, which is a step, a child is forked (so torch is imported once) that trains in FOLDER from the
last checkpoint on. In that step every rank stands still, so that a signal that comes meanwhile has come in this step.
After "STEP twins" it also stands still after its last step, before the checkpoint of a stop is written, and takes all
signals for copies of the first. On stdout: "started PID" of the child, "at PID RANK" of a rank that stands still, and
"exit CODE" of the child. A rank goes on when somebody opens the FIFO FOLDER.go.RANK for writing.
"""

import contextlib
import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path

from exact_runs import prepare
from steploop.engine import comm, hooks, launch
from steploop.engine.hooks import stopping


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def train(folder: str, step: int, twins: bool, overrides: list[str]) -> None:
    if twins:
        stopping.SAME_SIGNAL_SECONDS = 1e9
    trainer = prepare(folder, *overrides)
    fifo = Path(f"{folder}.go.{comm.get_rank()}")

    def stand_still(trainer) -> None:
        if trainer.iter == step:
            with contextlib.suppress(FileNotFoundError):
                fifo.unlink()
            os.mkfifo(fifo)
            say(f"at {os.getpid()} {comm.get_rank()}")
            fifo.open().close()

    trainer.register_hooks([hooks.CallbackHook(before_step=stand_still, after_train=stand_still if twins else None)])
    trainer.train()


def run_child(folder: str, processes: int, step: int, twins: bool, overrides: list[str]) -> None:
    """Train and end with the exit status that a script would have."""
    os.setpgid(0, 0)
    code = 0
    try:
        launch(train, processes, device="cpu", args=(folder, step, twins, overrides), timeout=timedelta(minutes=1))
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)


def main() -> None:
    folder, processes, *overrides = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            step, *twins = line.split()
            run_child(folder, int(processes), int(step), bool(twins), overrides)
        say(f"started {child}")
        say(f"exit {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


if __name__ == "__main__":
    main()
