"""Kills processes with signal 9 at every point of a save, and prints what each left behind as JSON lines.

Run as `python checkpoint_victim.py FOLDER sync|async`. It forks a child for each point, so torch is imported once.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from steploop.engine.checkpoint import Checkpointer, find_newest_valid, verify_file
from steploop.engine.checkpoint import writer as checkpoint_writer
from steploop.engine.hooks import PeriodicCheckpointer
from steploop.engine.run.files import clean_temporary


def _watch(event: Callable[[], None]) -> None:
    """Call `event` in the middle of each write, and before and after each fsync and rename."""
    write, fsync, replace = checkpoint_writer._FirstError.write, os.fsync, Path.replace

    def half_write(self, data) -> int:
        data = memoryview(data).cast("B")
        write(self, data[: len(data) // 2])
        event()
        write(self, data[len(data) // 2 :])
        return len(data)

    def watched_fsync(descriptor: int) -> None:
        event()
        fsync(descriptor)
        event()

    def watched_replace(self: Path, target) -> Path:
        event()
        result = replace(self, target)
        event()
        return result

    checkpoint_writer._FirstError.write = half_write
    os.fsync = watched_fsync
    Path.replace = watched_replace


def _train(folder: Path, asynchronous: bool, stop_at: int, pipe: int) -> None:
    """Save iterations 0 and 1; block for ever at event `stop_at` of the second, after telling the parent."""
    model = nn.Linear(300, 300)
    checkpointer = Checkpointer(model, folder, asynchronous=asynchronous)
    periodic = PeriodicCheckpointer(checkpointer, period=1, max_to_keep=1)
    count = -1

    def event() -> None:
        nonlocal count
        if count >= 0:
            count += 1
        if count == stop_at + 1:
            os.write(pipe, b"!")
            os.read(os.pipe()[0], 1)

    _watch(event)
    for iteration in range(2):
        nn.init.constant_(model.weight, iteration)
        count = 0 if iteration == 1 else -1
        periodic.step(iteration)
        checkpointer.wait()
    os._exit(0)


def main() -> None:
    root, asynchronous = Path(sys.argv[1]), sys.argv[2] == "async"
    torch.set_num_threads(1)
    for stop_at in range(10_000):
        folder = root / str(stop_at)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _train(folder, asynchronous, stop_at, write_end)
        os.close(write_end)
        reached = os.read(read_end, 1) == b"!"
        os.close(read_end)
        if reached:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not reached:
            return
        for path in folder.glob("*.pth"):
            verify_file(path)
        found = find_newest_valid(folder)
        weights = found.checkpoint["model"]["weight"].unique().tolist()
        leftovers = clean_temporary(folder)
        print(
            json.dumps(
                {
                    "iteration": found.checkpoint["iteration"],
                    "weights": weights,
                    "leftovers": leftovers,
                    "files": sorted(path.name for path in folder.iterdir()),
                    "pointer": (folder / "last_checkpoint").read_text(),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
