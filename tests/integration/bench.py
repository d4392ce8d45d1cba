"""What a flow of flows.py is made of: a run that is started, waited for, and compared with an undisturbed one."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from steploop.engine.checkpoint import read_checkpoint

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRAIN = [str(HERE / "train_tiny.py"), "--config-file", str(HERE / "tiny.yaml")]
# Of a line of metrics.json: what the clock decides.
VOLATILE = {"time", "data_time", "eta_seconds"}
LIMIT = 100.0


class FlowError(Exception):
    """A flow did not do what it should."""


class Bench:
    """Where flows run: a folder, the variables that their launchers need, and what an undisturbed run ended in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"STEPLOOP_FLOW={uuid.uuid4()}"  # by which a process is known that outlives its launcher
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "OMPI_", "PMIX_"))}
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            own.pop(name, None)
        name, _, value = self.mark.partition("=")
        self.variables = own | {
            name: value,
            "PYTHONPATH": str(ROOT / "tests/support"),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            # Open MPI: loopback only, and root may use it.
            "OMPI_MCA_oob_tcp_if_include": "lo",
            "OMPI_MCA_btl_tcp_if_include": "lo",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        }

    def start(self, command: Sequence[str], log: str, variables: Mapping[str, str] = {}) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.variables | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(
        self, prefix: Sequence[str], name: str, *options: str, code: int = 0, variables: Mapping[str, str] = {}
    ) -> str:
        """Train under a launcher into the folder `name`; return what was printed.

        Raises:
            FlowError: it took too long, or did not end with this exit code.
        """
        process = self.start([*prefix, *TRAIN, *options, "OUTPUT_DIR", name], f"{name}.out", variables)
        return self.wait(process, name, code)

    def wait(self, process: subprocess.Popen[bytes], name: str, code: int = 0) -> str:
        try:
            returned = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise FlowError(f"not over after {LIMIT:g} s; it printed:\n{tail(self.printed(name))}") from None
        check(returned == code, f"exit code {returned}, not {code}; it printed:\n{tail(self.printed(name))}")
        return self.printed(name)

    def printed(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text(errors="replace")

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT
        while not is_so():
            check(time.monotonic() < deadline, f"waited {LIMIT:g} s for {what}")
            time.sleep(0.1)

    def until_trained(self, name: str) -> None:
        """Wait until the run in the folder `name` has written metrics."""
        self.until(lambda: (self.folder / name / "metrics.json").exists(), f"the first metrics of {name}")

    def result(self, name: str) -> tuple[dict[str, bytes], list[dict[str, object]]]:
        """Return the bits of the last weights, and what was measured."""
        checkpoint = read_checkpoint(self.folder / name / "model_final.pth")
        lines = [json.loads(line) for line in (self.folder / name / "metrics.json").read_text().splitlines()]
        weights = {key: tensor.numpy().tobytes() for key, tensor in checkpoint["model"].items()}
        return weights, [{key: value for key, value in line.items() if key not in VOLATILE} for line in lines]

    def check_like_reference(self, name: str) -> None:
        """Check that a run of two ranks ended in the bits of one that nothing disturbed, and who wrote what."""
        for file, text in (("log.txt", "process: 0 of 2"), ("log.txt.rank1", "process: 1 of 2")):
            check(text in (self.folder / name / file).read_text(), f"{file} does not say {text!r}")
        files, expected = ({_kind(p.name) for p in (self.folder / n).glob("*")} for n in (name, "reference"))
        check(expected <= files, f"files are missing: {expected - files}")
        (weights, lines), (reference, reference_lines) = self.result(name), self.result("reference")
        check(weights == reference, "the last weights are not the bits of an undisturbed run")
        check(lines == reference_lines, "metrics.json is not that of an undisturbed run")

    def check_no_orphans(self) -> None:
        """Check that every process of a flow ends within ten seconds of its launcher."""
        deadline = time.monotonic() + 10
        while (left := self._marked()) and time.monotonic() < deadline:
            time.sleep(0.1)
        check(not left, f"processes {left} outlived their launcher")

    def clear(self) -> None:
        """End what a flow that failed has left."""
        for pid in self._marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _marked(self) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found


def check(holds: bool, message: str) -> None:
    if not holds:
        raise FlowError(message)


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-40:])


def _kind(name: str) -> str:
    return re.sub(r"^events\.out.*", "events", name)
