"""Kills a training with signal 9 again and again, and tells whether that has changed a bit of it.

Trains once to the end. Then trains again, kills all of its processes at random moments, a part of them inside a save,
each after new progress, and resumes it each time. Then compares all checkpoints and the metrics of the two runs bit for
bit. The exit status is 0 if they agree, 1 if they do not, 2 if the test could not be made.

    python benchmarks/crash_test.py
    python benchmarks/crash_test.py --kills 40 --seed 3 --processes 2 --workers 2 --async
    python benchmarks/crash_test.py --config-file my.yaml --data datasets --keep /tmp/crash --overrides LOG_PERIOD 1
"""

import argparse
import math
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from compare_runs import differences
from watched_train import SAVE_MOMENTS

from steploop.config import CfgNode
from steploop.engine import default_argument_parser, setup_config
from steploop.engine.run.files import _TEMPORARY
from steploop.engine.train_loop import every
from steploop.projects.reid import add_reid_config

HERE = Path(__file__).resolve().parent
OMNIGLOT = HERE.parents[1] / "shared" / "data" / "omniglot-market.zip"
POINTS = ("before_step", "after_backward", "after_step")
# How many of the kills are inside a save, if there are as many saves; at least a quarter must be.
SHARE_OF_SAVES, LEAST_SHARE = 0.4, 0.25


class Kill(NamedTuple):
    """A moment at which to kill: a hook point of a step (after_train, of the step after the last), or of its save."""

    step: int
    moment: str

    def __str__(self) -> str:
        return f"{self.moment} {self.step}"

    @property
    def is_in_save(self) -> bool:
        """Whether the process stands still inside a save when it is killed."""
        return self.moment in SAVE_MOMENTS


def plan_kills(count: int, max_iter: int, period: int, seed: int) -> list[Kill]:
    """Return random moments at `count` different steps, in order.

    Raises:
        ValueError: there are not enough steps, or not enough saves.
    """
    draw = random.Random(seed)
    saves = [step for step in range(max_iter) if every(period, step) or step == max_iter - 1]
    in_saves = min(len(saves), math.ceil(SHARE_OF_SAVES * count))
    if in_saves < LEAST_SHARE * count or count > max_iter:
        raise ValueError(
            f"{count} kills need as many steps and a quarter as many saves; this config has {max_iter} steps and "
            f"{len(saves)} saves: ask for fewer --kills, or change SOLVER.MAX_ITER or SOLVER.CHECKPOINT_PERIOD"
        )
    kills = [Kill(step, draw.choice(SAVE_MOMENTS)) for step in draw.sample(saves, in_saves)]
    others = sorted(set(range(max_iter + 1)) - {kill.step for kill in kills})
    for step in draw.sample(others, count - in_saves):
        kills.append(Kill(step, draw.choice(POINTS) if step < max_iter else "after_train"))
    return sorted(kills)


class Runner:
    """Starts the training in a folder, and ends it.

    Args:
        folder: holds the OUTPUT_DIRs, and the logs of what the processes print.
        arguments: of projects/reid/train_net.py.
        data: the folder of the data sets.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], data: Path) -> None:
        self.folder = folder
        self._arguments = list(arguments)
        self._fifo_path = folder / "watch.fifo"
        os.mkfifo(self._fifo_path)
        # Open for writing too: there is no end of the file then when a process that writes is killed.
        self._fifo = os.open(self._fifo_path, os.O_RDWR | os.O_NONBLOCK)
        self._environment = {
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "STEPLOOP_DATASETS": str(data),
            "STEPLOOP_WATCH_FIFO": str(self._fifo_path),
        }

    def run(self, name: str, kill: Kill | None = None, *, resume: bool = False) -> str:
        """Train to the end, or kill all processes of it when it tells that it has come to a moment.

        Returns:
            What it told last.

        Raises:
            RuntimeError: it ended otherwise.
        """
        script, output_dir = str(HERE / "watched_train.py"), str(self.folder / name)
        command = [sys.executable, script, *self._arguments, "OUTPUT_DIR", output_dir]
        environment = dict(self._environment)
        if kill is not None:
            environment["STEPLOOP_WATCH_END"] = str(kill)
        if resume:
            command.append("--resume")
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            return self._watch(process, name, kill)
        finally:
            _kill_group(process)

    def _watch(self, process: subprocess.Popen, name: str, kill: Kill | None) -> str:
        wanted = None if kill is None else str(kill)
        last = "nothing"
        while process.poll() is None:
            for last in self._told(seconds=0.2):
                if last == wanted:
                    _kill_group(process)
                    # It may have gone on until the signal came.
                    return [last, *self._told()][-1]
        if process.returncode != 0 or wanted is not None:
            tail = (self.folder / f"{name}.log").read_text().splitlines()[-20:]
            expected = "to the end" if wanted is None else f"to {wanted!r}"
            raise RuntimeError(
                f"the training did not come {expected}; its exit status is {process.returncode}, the end of its log:\n"
                + "\n".join(tail)
            )
        return [last, *self._told()][-1]

    def _told(self, seconds: float = 0.0) -> list[str]:
        """Return the lines that have come, after waiting for some."""
        if not select.select([self._fifo], [], [], seconds)[0]:
            return []
        return os.read(self._fifo, 1 << 16).decode().splitlines()


def _kill_group(process: subprocess.Popen) -> None:
    """Kill the process and all that it started, and wait until they are gone."""
    if _is_any_alive(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while _is_any_alive(process.pid):
        threading.Event().wait(0.005)


def _is_any_alive(group: int) -> bool:
    """Say whether a process group has members that run; one that is dead may wait for its parent for ever."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member_of) == group and state != "Z":
            return True
    return False


def kill_and_resume(runner: Runner, kills: Sequence[Kill]) -> Iterator[tuple[Kill, str, str, str]]:
    """Kill a run at each moment and resume it; yield (the kill, what the run told last, save in flight, checkpoint)."""
    folder = runner.folder / "killed"
    for number, kill in enumerate(kills):
        told = runner.run("killed", kill, resume=number > 0)
        leftovers = [entry.name for entry in folder.iterdir() if _TEMPORARY.match(entry.name)]
        in_flight = kill.moment if kill.is_in_save else ", ".join(leftovers) or "no"
        pointer = folder / "last_checkpoint"
        yield kill, told, in_flight, pointer.read_text() if pointer.exists() else "none"
    runner.run("killed", resume=bool(kills))


def find_data(given: Path | None, scratch: Path) -> Path:
    """Return the folder of the data sets: the given one, $STEPLOOP_DATASETS, or the Omniglot archive, unpacked.

    Raises:
        FileNotFoundError: there is none of them.
    """
    if given is not None or "STEPLOOP_DATASETS" in os.environ:
        return (given or Path(os.environ["STEPLOOP_DATASETS"])).resolve()
    if not OMNIGLOT.exists():
        raise FileNotFoundError(f"no images: name the folder of the data sets with --data ({OMNIGLOT} is not there)")
    with zipfile.ZipFile(OMNIGLOT) as archive:
        archive.extractall(scratch / "omniglot-market")
    return scratch


def training_arguments(args: argparse.Namespace) -> list[str]:
    """Return the command line of the training, but for its OUTPUT_DIR."""
    settings = {"MODEL.DEVICE": "cpu", "SEED": args.seed, "SOLVER.CHECKPOINT_ASYNC": args.asynchronous}
    if args.workers is not None:
        settings["DATALOADER.NUM_WORKERS"] = args.workers
    pairs = [str(part) for pair in settings.items() for part in pair]
    return ["--config-file", str(args.config_file), "--num-gpus", str(args.processes), *pairs, *args.overrides]


def read_config(arguments: Sequence[str]) -> CfgNode:
    """Return the config of the training."""
    return setup_config(default_argument_parser().parse_args(arguments), add_reid_config)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="how often to kill (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the training and of the moments (default: 0)")
    parser.add_argument("--workers", type=int, metavar="N", help="DATALOADER.NUM_WORKERS (default: the config's)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="ranks, joined by gloo (default: 1)")
    parser.add_argument("--async", action="store_true", dest="asynchronous", help="save in the background")
    parser.add_argument("--config-file", type=Path, default=HERE / "crash_test.yaml", metavar="FILE", help="of re-ID")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data sets (default: $STEPLOOP_DATASETS, Omniglot)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for both runs and logs; it is kept")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY VALUE", help="settings, as pairs")
    return parser


def crash_test(args: argparse.Namespace, scratch: Path) -> bool:
    """Train, train with kills, compare; return whether the runs agree.

    Raises:
        ValueError, FileNotFoundError, RuntimeError: the test could not be made.
    """
    arguments = training_arguments(args)
    cfg = read_config(arguments)
    kills = plan_kills(args.kills, cfg.SOLVER.MAX_ITER, cfg.SOLVER.CHECKPOINT_PERIOD, args.seed)
    runner = Runner(args.keep or scratch, arguments, find_data(args.data, scratch))
    start = time.monotonic()
    print(f"training {cfg.SOLVER.MAX_ITER} steps without a stop ...", flush=True)
    runner.run("whole")
    print(f"done after {time.monotonic() - start:.0f} s; now with {len(kills)} kills\n", flush=True)
    row = "{:>4}  {:>4}  {:<20}  {:<20}  {:<18}  {:>6}".format
    print(row("kill", "step", "moment", "save in flight", "last_checkpoint", "time"))
    in_saves = 0
    for number, (kill, told, in_flight, checkpoint) in enumerate(kill_and_resume(runner, kills), start=1):
        in_saves += in_flight != "no"
        step = told.rpartition(" ")[2]
        print(row(number, step, kill.moment, in_flight, checkpoint, f"{time.monotonic() - start:.0f} s"), flush=True)
    found = list(differences(runner.folder / "whole", runner.folder / "killed"))
    for line in found[:20]:
        print(line)
    print(f"\n{len(kills)} kills, {in_saves} of them inside a save: ", end="")
    print(f"{len(found)} differences" if found else "the runs agree bit for bit", flush=True)
    return not found


def main() -> int:
    """Run the command line."""
    parser = build_parser()
    args = parser.parse_args()
    if args.keep is not None:
        try:
            args.keep.mkdir(parents=True)
        except FileExistsError:
            parser.error(f"--keep names a new folder, and {args.keep} is there")
    with tempfile.TemporaryDirectory(prefix="crash_test_") as scratch:
        try:
            return 0 if crash_test(args, Path(scratch)) else 1
        except (ValueError, LookupError, OSError, RuntimeError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
