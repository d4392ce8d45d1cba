"""Which program started this process, read from the environment alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_MPI = tuple(f"OMPI_COMM_WORLD_{name}" for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE"))

LAUNCHERS = ("auto", "none", "pytorch", "slurm", "mpi")
# What is missing where one that was named is not there, and what to do.
_SIGNS = {
    "pytorch": "RANK and WORLD_SIZE are not set: start this program with torchrun",
    "mpi": "OMPI_COMM_WORLD_RANK and _SIZE are not set: start this program with Open MPI's mpirun",
    "slurm": "SLURM_STEP_ID is not set, so this is no job step: start this program with srun",
}


@dataclass(frozen=True)
class LaunchInfo:
    """This process's place among those that a launcher started.

    Attributes:
        launcher: "pytorch" (torchrun), "mpi" (Open MPI's mpirun) or "slurm" (srun).
        rank: in [0, world_size).
        world_size: processes of the run.
        local_rank: in [0, local_size); not always `rank % local_size`, launchers may deal ranks out otherwise.
        local_size: processes on this machine.
        master_addr: where rank 0 can be reached, None if the launcher does not say.
        master_port: its port, None if the launcher does not say.
    """

    launcher: str
    rank: int
    world_size: int
    local_rank: int
    local_size: int
    master_addr: str | None = None
    master_port: int | None = None


def detect_launcher(environ: Mapping[str, str], launcher: str = "auto") -> LaunchInfo | None:
    """Say what launcher started a process with this environment; None if none did.

    torchrun comes before Open MPI, which comes before Slurm: each may run inside the next, whose variables then
    describe another process. Slurm counts only inside a job step of several tasks: the batch script itself shows the
    job's SLURM_NTASKS, but nobody started its other tasks.

    Args:
        environ: the environment of the process.
        launcher: one of LAUNCHERS: "auto" looks for all of them, "none" for none, a name for this one only.

    Raises:
        ValueError: the launcher that was named did not start this process, or the variables of one are incomplete or
            contradict each other.
    """
    if launcher not in LAUNCHERS:
        raise ValueError(f"a launcher is one of {', '.join(LAUNCHERS)}; got {launcher!r}")
    if launcher in ("auto", "pytorch") and "RANK" in environ and "WORLD_SIZE" in environ:
        # Some clusters set only these two, also for a program that runs alone.
        alone = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"} if environ["WORLD_SIZE"] == "1" else {}
        return _info("pytorch", environ, *(_int({**alone, **environ}, name, "torchrun") for name in _TORCHRUN))
    if launcher in ("auto", "mpi") and "OMPI_COMM_WORLD_RANK" in environ and "OMPI_COMM_WORLD_SIZE" in environ:
        return _info("mpi", environ, *(_int(environ, name, "mpirun") for name in _MPI))
    tasks = environ.get("SLURM_STEP_NUM_TASKS", "1")
    if "SLURM_STEP_ID" in environ and (launcher == "slurm" or (launcher == "auto" and tasks != "1")):
        rank, world, local_rank = (
            _int(environ, name, "srun") for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
        )
        return _info("slurm", environ, rank, world, local_rank, _slurm_local_size(environ))
    if launcher in _SIGNS:
        raise ValueError(f"--launcher {launcher}: {_SIGNS[launcher]}, or leave --launcher out")
    return None


def count_restarts(environ: Mapping[str, str]) -> int:
    """Return how often torchrun or Slurm has started this program again; 0 at the first start."""
    names = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    return sum(int(environ[name]) for name in names if environ.get(name, "").isdecimal())


def _info(
    launcher: str, environ: Mapping[str, str], rank: int, world_size: int, local_rank: int, local_size: int
) -> LaunchInfo:
    if not (0 <= rank < world_size and 0 <= local_rank < local_size <= world_size):
        raise ValueError(
            f"the environment of {launcher} contradicts itself: rank {rank} of {world_size}, "
            f"local rank {local_rank} of {local_size}"
        )
    port = _int(environ, "MASTER_PORT", launcher) if "MASTER_PORT" in environ else None
    return LaunchInfo(launcher, rank, world_size, local_rank, local_size, environ.get("MASTER_ADDR"), port)


def _int(environ: Mapping[str, str], name: str, program: str) -> int:
    value = environ.get(name, "")
    if not value.isdecimal():
        said = f"is {value!r}, not a number" if name in environ else "is not set"
        raise ValueError(f"this process seems to have been started by {program}, but {name} {said}")
    return int(value)


def _slurm_local_size(environ: Mapping[str, str]) -> int:
    """Return the tasks on this node from a list such as "4(x2),3": two nodes with 4 tasks, then one with 3."""
    text = environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    sizes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise ValueError(f"SLURM_STEP_TASKS_PER_NODE should look like '4(x2),3', got {text!r}")
        sizes += [int(match[1])] * int(match[2] or 1)
    node = _int(environ, "SLURM_NODEID", "srun")
    if node >= len(sizes):
        raise ValueError(f"SLURM_NODEID is {node}, but SLURM_STEP_TASKS_PER_NODE {text!r} lists {len(sizes)} nodes")
    return sizes[node]
