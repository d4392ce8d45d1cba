"""Where processes meet whose launcher does not say it: mpirun and srun number them, and no more.

The address follows from the job's environment, and so does a short list of ports, of which rank 0 takes the first that
is free (see signpost.py).
"""

import hashlib
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from .launchers import LaunchInfo

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 30_000)  # above most services, below what systems hand out (Linux: 32768 and up)
NUM_CANDIDATES = 16
REMEDY = "set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a free port of it"


@dataclass(frozen=True)
class Rendezvous:
    """Where rank 0's signpost may stand.

    Attributes:
        token: names the run, the same on every rank and different from that of any other run.
        addresses: of the machine of rank 0; the first that answers is taken.
        ports: in the order in which rank 0 tries them.
    """

    token: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...]

    def __str__(self) -> str:
        return f"{' or '.join(self.addresses)}, ports {', '.join(map(str, self.ports))}"


def find_rendezvous(info: LaunchInfo, environ: Mapping[str, str], number: int = 0) -> Rendezvous:
    """Return the meeting place of a job of mpirun or srun; MASTER_ADDR or MASTER_PORT, where set, are part of it.

    Args:
        info: what `detect_launcher` found.
        environ: the environment of this process.
        number: how many meetings this process has had before.

    Raises:
        ValueError: the environment does not tell enough; the message says what to set.
    """
    job = f"{job_name(info.launcher, environ)} {number}"
    if info.master_addr is not None:
        addresses: tuple[str, ...] = (info.master_addr,)
    elif info.launcher == "mpi":
        addresses = _mpi_addresses(info, environ)
    else:
        addresses = _slurm_addresses(info, environ)
    ports = candidate_ports(job) if info.master_port is None else (info.master_port,)
    return Rendezvous(hashlib.sha256(job.encode()).hexdigest()[:16], addresses, ports)


def job_name(launcher: str, environ: Mapping[str, str]) -> str:
    """Return what all processes of one start of one program share, and nothing else on their machines does.

    Raises:
        ValueError: the launcher has not named its job.
    """
    if launcher == "slurm" and "SLURM_JOB_ID" in environ:
        # A requeued job keeps its number and counts its steps from 0 again.
        return "slurm " + " ".join(
            environ.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
        )
    namespace = environ.get("PMIX_NAMESPACE") or environ.get("OMPI_MCA_ess_base_jobid")
    if launcher == "mpi" and namespace:
        return f"mpi {namespace}"
    raise ValueError(f"{launcher} has started this process but does not name its job: {REMEDY}")


def candidate_ports(job: str) -> tuple[int, ...]:
    """Return the ports that a job may meet at: the same for every rank, others for other jobs."""
    digests = (hashlib.sha256(f"{job}/{attempt}".encode()).digest() for attempt in range(NUM_CANDIDATES))
    return tuple(PORTS[int.from_bytes(digest[:8], "big") % len(PORTS)] for digest in digests)


def first_host(nodelist: str) -> str:
    """Return the first host of a Slurm list such as ``gpu[08-11,20],login``: ``gpu08``.

    Raises:
        ValueError: it does not look like such a list.
    """
    match = re.match(r"(?:[^\[\],\s]|\[[\d,-]+\])+", nodelist)
    if match is None:
        raise ValueError(f"a Slurm node list looks like 'gpu[08-11,20],login'; got {nodelist!r}")
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", match[0])


def mpirun_addresses(uri: str) -> tuple[str, ...]:
    """Return the IPv4 addresses in Open MPI's ``1234.0;tcp://10.0.0.1,192.168.0.1:5678``, those of mpirun's machine."""
    match = re.search(r"tcp://([\d.,]+):\d+", uri)
    return tuple(match[1].split(",")) if match else ()


def _mpi_addresses(info: LaunchInfo, environ: Mapping[str, str]) -> tuple[str, ...]:
    if info.local_size == info.world_size:
        return (LOOPBACK,)
    addresses = mpirun_addresses(environ.get("OMPI_MCA_orte_hnp_uri", ""))
    if not addresses:
        raise ValueError(f"mpirun has started processes on several machines and does not name the first: {REMEDY}")
    if info.rank == 0 and not any(map(_is_of_this_machine, addresses)):
        raise ValueError(f"rank 0 does not run on mpirun's machine ({', '.join(addresses)}): {REMEDY}")
    return addresses


def _slurm_addresses(info: LaunchInfo, environ: Mapping[str, str]) -> tuple[str, ...]:
    if environ.get("SLURM_STEP_NUM_NODES") == "1":
        return (LOOPBACK,)
    host = first_host(environ.get("SLURM_STEP_NODELIST", ""))
    if info.rank == 0 and environ.get("SLURMD_NODENAME", host) != host:  # srun --distribution=arbitrary
        raise ValueError(f"rank 0 runs on {environ['SLURMD_NODENAME']}, not on the step's first node {host}: {REMEDY}")
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return (_node_address(host),)
    return (host,)


def _node_address(node: str) -> str:
    """Ask Slurm for the address of a node of which the name has no meaning outside it."""
    said = "scontrol is not here"
    if shutil.which("scontrol"):
        done = subprocess.run(["scontrol", "--oneliner", "show", "node", node], capture_output=True, text=True)
        if match := re.search(r"\bNodeAddr=(\S+)", done.stdout):
            return match[1]
        said = (done.stderr or done.stdout).strip()
    raise ValueError(f"the name of the first node, {node}, has no address here ({said}): {REMEDY}")


def _is_of_this_machine(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
