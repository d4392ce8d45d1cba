"""Runs one small training under every launcher, for real, and says plainly which ran, which failed and which could not.

tests/integration/run             all of them; as root on Debian it installs what is missing
tests/integration/run srun        those with "srun" in their name
"""

import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import cluster
import torch
from bench import ROOT, TRAIN, Bench, FlowError, check, tail
from cluster import UnavailableError

from steploop.engine import REQUEUE_EXIT_CODE

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TWO = ["--standalone", "--nproc-per-node", "2"]
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "2", sys.executable]
SLOW = {"SECONDS_PER_STEP": "0.5"}
_GOES_ON = re.compile(r"training from iteration [1-9]")


def two_machines(bench: Bench) -> None:
    """Each starts its own process, on this machine; the second comes first."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    start = [
        sys.executable,
        *TRAIN,
        "--num-machines",
        "2",
        "--dist-url",
        url,
        "OUTPUT_DIR",
        "machines",
        "--machine-rank",
    ]
    second = bench.start([*start, "1"], "machine1.out")
    bench.wait(bench.start([*start, "0"], "machines.out"), "machines")
    bench.wait(second, "machine1")
    bench.check_like_reference("machines")


def torchrun(bench: Bench) -> None:
    bench.run([*TORCHRUN, *TWO], "torchrun", "--launcher", "pytorch")
    bench.check_like_reference("torchrun")


def torchrun_restart(bench: Bench) -> None:
    printed = bench.run([*TORCHRUN, *TWO, "--max-restarts", "1"], "restart", variables={"FAIL": "kill"})
    check("training from iteration 20" in printed, f"it did not go on from its last checkpoint:\n{tail(printed)}")
    bench.check_like_reference("restart")


def torchrun_three(bench: Bench) -> None:
    """Three processes add up gradients in another order after a restart, unless they are told not to."""
    three = [*TORCHRUN, "--standalone", "--nproc-per-node", "3"]
    options = ("--deterministic", "SOLVER.IMS_PER_BATCH", "6")
    bench.run(three, "three", *options)
    bench.run([*three, "--max-restarts", "1"], "three_restarted", *options, variables={"FAIL": "kill"})
    check(bench.result("three") == bench.result("three_restarted"), "the restarted run did not end in the same bits")


def torchrun_raise(bench: Bench) -> None:
    printed = bench.run([*TORCHRUN, *TWO], "raise", code=1, variables={"FAIL": "raise"})
    summary = printed.partition("Root Cause")[2]
    check("rank      : 1" in summary, f"torchrun's summary does not name rank 1:\n{tail(printed)}")
    check("told to raise" in summary and "in before_step" in summary, f"torchrun shows no traceback:\n{tail(printed)}")


def killed(command: Sequence[str], name: str) -> Callable[[Bench], None]:
    def flow(bench: Bench) -> None:
        process = bench.start([*command, *TRAIN, "OUTPUT_DIR", name], f"{name}.out", SLOW)
        bench.until_trained(name)
        process.kill()
        process.wait()

    return flow


def mpirun(bench: Bench) -> None:
    bench.run(MPIRUN, "mpirun")
    bench.check_like_reference("mpirun")


def mpirun_signal(bench: Bench) -> None:
    variables = SLOW | {"SECONDS_TO_SAVE": "4"}
    process = bench.start([*MPIRUN, *TRAIN, "OUTPUT_DIR", "mpi_usr1"], "mpi_usr1.out", variables)
    bench.until_trained("mpi_usr1")
    process.send_signal(signal.SIGUSR1)
    bench.wait(process, "mpi_usr1", REQUEUE_EXIT_CODE)
    printed = bench.run(MPIRUN, "mpi_usr1", "--resume", "--launcher", "mpi")
    check(bool(_GOES_ON.search(printed)), f"it did not go on from where it was stopped:\n{tail(printed)}")
    bench.check_like_reference("mpi_usr1")


def srun(*options: str, name: str) -> Callable[[Bench], None]:
    def flow(bench: Bench) -> None:
        bench.run(["srun", "--kill-on-bad-exit=1", *options, sys.executable], name)
        bench.check_like_reference(name)

    return flow


def srun_at_once(bench: Bench) -> None:
    """Two job steps that look for their rank 0 on one machine at the same time."""
    names = ("first", "second")
    started = [
        bench.start(["srun", "-n", "2", sys.executable, *TRAIN, "OUTPUT_DIR", name], f"{name}.out") for name in names
    ]
    for process, name in zip(started, names):
        bench.wait(process, name)
        bench.check_like_reference(name)


def srun_torchrun(bench: Bench) -> None:
    script = (
        f"exec {shlex.join(TORCHRUN)} --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID "
        '--rdzv-endpoint 127.0.0.1:$((20000 + SLURM_JOB_ID % 10000)) --local-addr 127.0.0.1 "$@"'
    )
    bench.run(["srun", "-N2", "--ntasks-per-node=1", "bash", "-c", script, "torchrun"], "srun_torchrun")
    bench.check_like_reference("srun_torchrun")


def batch_shell(bench: Bench) -> None:
    """The job has two tasks, but nobody starts the second: the program is alone, and must not wait for it."""
    command = [sys.executable, *TRAIN, "OUTPUT_DIR", "batch"]
    process = bench.start(
        ["sbatch", "--wait", "-n", "2", "--output=batch.job", "--wrap", shlex.join(command)], "batch.out"
    )
    bench.wait(process, "batch")
    log = (bench.folder / "batch" / "log.txt").read_text()
    check("process: 0 of 1" in log, "the log does not say that it is alone")


def requeue(bench: Bench) -> None:
    """The script of docs/distributed.md, with another program, without GPUs, and warned as soon as it trains."""
    text = (ROOT / "docs/distributed.md").read_text()
    found = re.search(r"<!-- script: requeue -->\n```bash\n(.*?)```", text, re.DOTALL)
    assert found is not None, "docs/distributed.md has no script after the line '<!-- script: requeue -->'"
    script, changes = re.subn(
        r"python projects/reid/train_net.py .*(?= &)",
        shlex.join([sys.executable, *TRAIN, "OUTPUT_DIR", "usr1"]),
        found[1],
    )
    assert changes == 1, script
    script = re.sub(r"#SBATCH --(gpus|cpus)-per-task.*\n", "", script)
    (bench.folder / "requeue.sh").write_text(script)
    options = ["--parsable", "--ntasks-per-node=1", "--time=10", "--output=usr1.job"]
    variables = bench.variables | SLOW | {"SECONDS_TO_SAVE": "4"}
    job = subprocess.run(
        ["sbatch", *options, "requeue.sh"], cwd=bench.folder, env=variables, capture_output=True, text=True, check=True
    ).stdout.strip()

    def state() -> str:
        shown = ["scontrol", "--oneliner", "show", "job", job]
        return subprocess.run(shown, capture_output=True, text=True, env=bench.variables).stdout

    bench.until_trained("usr1")
    subprocess.run(["scancel", "--batch", "--signal=USR1", job], env=bench.variables, check=True)
    bench.until(lambda: re.search(r"JobState=(COMPLETED|FAILED|CANCELLED|TIMEOUT)", state()) is not None, "the job")
    printed = (bench.folder / "usr1.job").read_text()
    check("JobState=COMPLETED" in state(), f"{state()}\n{tail(printed)}")
    check("Restarts=1" in state(), f"the job was not requeued once: {state()}\n{tail(printed)}")
    check(f"exit code {REQUEUE_EXIT_CODE}" in printed, f"the first start did not end with it:\n{tail(printed)}")
    check(bool(_GOES_ON.search(printed)), f"it did not go on from where it was stopped:\n{tail(printed)}")
    bench.check_like_reference("usr1")


# name, what it needs, what it does
FLOWS: list[tuple[str, str, Callable[[Bench], None]]] = [
    ("--num-machines 2, on this one", "", two_machines),
    ("torchrun, 2 processes", "", torchrun),
    ("torchrun --max-restarts 1, a rank is killed: same bits", "", torchrun_restart),
    ("torchrun --max-restarts 1, 3 processes, --deterministic: same bits", "", torchrun_three),
    ("torchrun, a rank raises: named, with its traceback", "", torchrun_raise),
    ("torchrun is killed: its processes end", "", killed([*TORCHRUN, *TWO], "torchrun_killed")),
    ("mpirun -n 2", "mpi", mpirun),
    ("mpirun gets USR1: saves, exit code 75, resumes: same bits", "mpi", mpirun_signal),
    ("mpirun is killed: its processes end", "mpi", killed(MPIRUN, "mpirun_killed")),
    ("srun -n 2", "slurm", srun("-n", "2", name="srun")),
    ("srun -N2 --ntasks-per-node=1", "slurm", srun("-N2", "--ntasks-per-node=1", name="srun_nodes")),
    ("srun -n 2, twice at once", "slurm", srun_at_once),
    ("torchrun inside srun", "slurm", srun_torchrun),
    ("python in a batch shell of sbatch -n 2: alone", "slurm", batch_shell),
    ("sbatch --requeue, USR1: saves, exit code 75, resumes: same bits", "slurm", requeue),
]


def available(stack: ExitStack, bench: Bench, needs: set[str]) -> dict[str, str]:
    """Install and start what the flows need; return what cannot be had, with the reason."""
    reasons: dict[str, str] = {}
    log = bench.folder / "install.log"
    for name, programs in (("mpi", cluster.MPI), ("slurm", cluster.SLURM)):
        if name not in needs:
            continue
        try:
            cluster.install(programs, log)
            if name == "slurm":
                bench.variables |= stack.enter_context(cluster.slurm(bench.folder / "slurm"))
        except UnavailableError as error:
            reasons[name] = str(error)
    return reasons


def main(wanted: Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemons are stopped
    flows = [flow for flow in FLOWS if not wanted or any(word in flow[0] for word in wanted)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}

    def tell(how: str, name: str, rest: str) -> None:
        counts[how] += 1
        print(f"{how:8}{name:66}{rest}", flush=True)

    with ExitStack() as stack:
        bench = Bench(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="steploop-integration-"))))
        stack.callback(bench.clear)
        reasons = available(stack, bench, {needs for _, needs, _ in flows})
        bench.run([sys.executable], "reference", "--num-gpus", "2")
        for name, needs, flow in flows:
            if needs in reasons:
                tell("skipped", name, reasons[needs])
                continue
            start = time.monotonic()
            try:
                flow(bench)
                bench.check_no_orphans()
            except FlowError as error:
                bench.clear()
                tell("failed", name, f"{time.monotonic() - start:5.1f} s\n    " + str(error).replace("\n", "\n    "))
            else:
                tell("passed", name, f"{time.monotonic() - start:5.1f} s")
    print(", ".join(f"{count} {how}" for how, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
