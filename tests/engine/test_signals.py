import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import exact_runs
import signal_victim
from steploop.engine.hooks import stopping
from tiny_project import TinyTrainer, tiny_cfg

REQUEUE = 75
ONE = (*exact_runs.EVALUATED, *exact_runs.EMA, "DATALOADER.NUM_WORKERS", 1)
TWO = (*exact_runs.EVALUATED, *exact_runs.ACCUMULATED)


class Victim:
    """A training in other processes, which stands still at a step of the test's choice."""

    def __init__(self, folder: Path, processes: int, *overrides) -> None:
        self.folder = folder
        self.processes = processes
        self.pids: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, signal_victim.__file__, folder, str(processes), *map(str, overrides)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._seen = b""
        self._gates: list[int] = []

    def __enter__(self) -> "Victim":
        return self

    def __exit__(self, *_) -> None:
        for gate in self._gates:
            os.close(gate)
        self._process.stdin.close()
        if self._process.wait(timeout=60):
            raise AssertionError(self._seen.decode())
        self._process.stdout.close()

    def start(self, step: int = -1, *, twins: bool = False) -> int:
        """Train up to the step; return the pid of the process that was started, which leads a process group."""
        self._process.stdin.write(f"{step}{' twins' * twins}\n".encode())
        self._process.stdin.flush()
        pid = int(self.read_line("started "))
        for _ in range(self.processes if step >= 0 else 0):
            rank_pid, rank = self.read_line("at ").split()
            self.pids[int(rank)] = int(rank_pid)
        return pid

    def go_on(self) -> None:
        for rank in range(self.processes):
            # For reading too, and kept open: this waits for no rank, of which one may be dead, and no rank is late.
            self._gates.append(os.open(f"{self.folder}.go.{rank}", os.O_RDWR))

    def end(self) -> int:
        """Return the exit code of what was started."""
        return int(self.read_line("exit "))

    def read_line(self, containing: str, seconds: float = 60.0) -> str:
        """Return what follows `containing` in the next line that has it."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" in self._seen:
                line, _, self._seen = self._seen.partition(b"\n")
                _, found, rest = line.decode().partition(containing)
                if found:
                    return rest
                assert not line.startswith(b"exit "), f"it ended, {line}, before it said {containing!r}"
            assert select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], (
                f"waited in vain for {containing!r}"
            )
            chunk = os.read(self._process.stdout.fileno(), 65536)
            assert chunk, "the victim has died"
            self._seen += chunk

    def signal_until_it_ends(self, pid: int, number: int) -> None:
        """Send the signal now and then, until there is a line "exit CODE"."""
        while b"exit " not in self._seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if select.select([self._process.stdout], [], [], 0.02)[0]:
                self._seen += os.read(self._process.stdout.fileno(), 65536)


def last_checkpoint(folder: Path) -> str:
    return (folder / "last_checkpoint").read_text()


def assert_same_as_never_stopped(folder: Path, whole: Path, stops: list[int]) -> None:
    """Compare; what the stops have saved beyond the periodic checkpoints is no part of it."""
    for step in stops:
        if (step + 1) % 3:
            (folder / f"model_{step:07d}.pth").unlink()
    assert exact_runs.differences(folder, whole) == []


def test_one_process(tmp_path):
    """SIGTERM, Ctrl-C (to the workers too) and SIGUSR1 stop it at the step in which they come."""
    folder = tmp_path / "run"
    with Victim(folder, 1, *ONE) as victim:
        for step, number in [(1, signal.SIGTERM), (4, signal.SIGINT), (8, signal.SIGUSR1)]:
            pid = victim.start(step)
            if number == signal.SIGINT:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
            victim.go_on()
            victim.read_line(f"{number.name}: finishing this step")
            assert victim.end() == REQUEUE
            assert last_checkpoint(folder) == f"model_{step:07d}.pth"
            lines = [json.loads(line)["iteration"] for line in (folder / "metrics.json").read_text().splitlines()]
            assert max(lines) <= step, "a stopped run writes no line out of turn"
        # In the last step there is nothing to be taken up again.
        pid = victim.start(exact_runs.STEPS - 1)
        os.kill(pid, signal.SIGTERM)
        victim.go_on()
        assert victim.end() == 0
    exact_runs.train(tmp_path / "whole", *ONE)
    assert_same_as_never_stopped(folder, tmp_path / "whole", [1, 4, 8])


def test_a_second_signal_ends_at_once_and_a_twin_does_not(tmp_path):
    with Victim(tmp_path / "run", 1) as victim:
        pid = victim.start(5)
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        victim.read_line("SIGTERM: finishing this step")
        victim.signal_until_it_ends(pid, signal.SIGTERM)
        assert victim.end() == -signal.SIGTERM
        assert time.monotonic() - began > 0.5
        assert last_checkpoint(tmp_path / "run") == "model_0000002.pth"

        # A scheduler's second copy of the signal may come while the first one's checkpoint is written.
        pid = victim.start(5, twins=True)
        os.kill(pid, signal.SIGTERM)
        victim.read_line("SIGTERM: finishing this step")
        victim.go_on()
        victim.read_line("at ")
        os.kill(pid, signal.SIGTERM)
        victim.go_on()
        assert victim.end() == REQUEUE
        assert last_checkpoint(tmp_path / "run") == "model_0000005.pth"


def test_two_processes(tmp_path):
    """Whoever gets a signal, all ranks stop at the same step: the next at which they talk to each other."""
    folder = tmp_path / "run"
    stops = []
    with Victim(folder, 2, *TWO) as victim:
        for who, number, step, stops_at in [
            ("parent", signal.SIGTERM, 0, 1),
            ("group", signal.SIGINT, 3, 3),
            ("rank 1", signal.SIGUSR1, 6, 7),
        ]:
            pid = victim.start(step)
            if who == "group":
                os.killpg(pid, number)
            else:
                os.kill(pid if who == "parent" else victim.pids[1], number)
            # The parent hands on whatever it gets as SIGTERM; the ranks must have it before they go on.
            handed_on = number if who == "rank 1" else signal.SIGTERM
            for _ in range(1 if who == "rank 1" else 2):
                victim.read_line(f"{handed_on.name}: finishing this step")
            victim.go_on()
            assert victim.end() == REQUEUE
            assert last_checkpoint(folder) == f"model_{stops_at:07d}.pth"
            stops.append(stops_at)
        victim.start()
        assert victim.end() == 0
    with Victim(tmp_path / "whole", 2, *TWO) as victim:
        victim.start()
        assert victim.end() == 0
    assert_same_as_never_stopped(folder, tmp_path / "whole", stops)


def test_two_processes_that_look_for_requests_at_each_step_and_a_second_signal_to_their_parent(tmp_path):
    with Victim(tmp_path / "run", 2, "LOG_PERIOD", 6, "SOLVER.STOP_CHECK_PERIOD", 1) as victim:
        os.kill(victim.start(3), signal.SIGUSR1)
        for _ in range(2):
            victim.read_line("SIGTERM: finishing this step")
        victim.go_on()
        assert victim.end() == REQUEUE
        assert last_checkpoint(tmp_path / "run") == "model_0000003.pth"

        pid = victim.start(4)
        os.kill(pid, signal.SIGTERM)
        victim.read_line("waiting for 2 processes")
        victim.signal_until_it_ends(pid, signal.SIGTERM)
        assert victim.end() not in (0, REQUEUE)
        assert last_checkpoint(tmp_path / "run") == "model_0000003.pth"


class LateSignal(TinyTrainer):
    """Gets a signal in the last step, or when all steps are done."""

    in_last_step = False

    def after_step(self) -> None:
        if self.in_last_step and self.iter == self.max_iter - 1:
            signal.raise_signal(signal.SIGTERM)
        super().after_step()

    def after_train(self) -> None:
        if not self.in_last_step:
            signal.raise_signal(signal.SIGTERM)
        super().after_train()


@pytest.mark.parametrize("in_last_step", [True, False])
def test_a_signal_after_the_last_step_leaves_a_finished_run(tmp_path, in_last_step):
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    trainer = LateSignal(tiny_cfg(tmp_path, "DATASETS.TEST", "('tiny',)"))
    trainer.in_last_step = in_last_step
    try:
        results = trainer.train()  # no SystemExit
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert trainer.iter == trainer.max_iter
    assert (trainer.must_requeue, trainer.stop_reason) == (False, None)
    assert "mean" in results["tiny"] and (tmp_path / "model_final.pth").exists()
