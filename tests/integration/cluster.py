"""Open MPI, and a Slurm of two virtual nodes on this machine, as Debian packages them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

NODES = ("n0", "n1")
SLURM = {"srun": "slurm-client", "slurmctld": "slurmctld", "slurmd": "slurmd", "munged": "munge"}
MPI = {"mpirun": "openmpi-bin"}

_CONF = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Without cred_expire a requeued job waits two minutes.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={port}
SrunPortRange={srun_first}-{srun_last}
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
MailProg=/bin/true
# Not proctrack/cgroup: tasks die where cgroups are not mounted.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=5
# A virtual node may claim more cores than the machine has.
SlurmdParameters=config_overrides
PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_NODE = "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=1000 State=UNKNOWN\n"


class UnavailableError(Exception):
    """Something cannot be had on this machine; the message says why."""


def install(programs: dict[str, str], log: Path) -> None:
    """Install the packages of the programs that are missing.

    Raises:
        UnavailableError: this user or this system cannot.
    """
    missing = [program for program in programs if not _find(program)]
    if not missing:
        return
    packages = [programs[program] for program in missing]
    if not shutil.which("apt-get"):
        raise UnavailableError(f"{', '.join(missing)} not installed, and there is no apt-get (not Debian)")
    if os.geteuid() != 0:
        raise UnavailableError(
            f"{', '.join(missing)} not installed, and only root can: apt-get install {' '.join(packages)}"
        )
    with log.open("ab") as output:
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            done = subprocess.run(["apt-get", "-q", *command], stdout=output, stderr=output, env=quiet)
            if command != ["update"] and done.returncode:
                raise UnavailableError(f"apt-get install {' '.join(packages)} failed: {_last_line(log)}")


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run a controller and two nodes for as long as the context lasts; give the variables that its tools need.

    Raises:
        UnavailableError: this user may not start it, or it did not come up.
    """
    if os.geteuid() != 0:
        raise UnavailableError("slurmd runs as root only")
    host = os.uname().nodename.split(".")[0]
    port = _free_block(110)
    for name in ("ctld", "log"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    text = _CONF.format(folder=folder, host=host, port=port, srun_first=port + 10, srun_last=port + 109)
    conf.write_text(
        text + "".join(_NODE.format(node=node, host=host, port=port + 1 + i) for i, node in enumerate(NODES))
    )
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    variables = {"SLURM_CONF": str(conf)}
    with ExitStack() as stack:
        munge = [f"--{name}={folder}/munge.{suffix}" for name, suffix in _MUNGE_FILES.items()]
        # --force, because munged wants a socket that everybody may use, and this folder is root's alone.
        stack.enter_context(_daemon([_find("munged"), "--foreground", "--force", *munge], folder / "log/munged"))
        _until(lambda: (folder / "munge.sock").exists(), folder)
        stack.enter_context(_daemon([_find("slurmctld"), "-D", "-f", str(conf)], folder / "log/slurmctld"))
        for node in NODES:
            stack.enter_context(_daemon([_find("slurmd"), "-D", "-f", str(conf), "-N", node], folder / f"log/{node}"))
        _until(lambda: _say(["sinfo", "-h", "-N", "-t", "idle"], variables).count("\n") == len(NODES), folder)
        try:
            yield variables
        finally:
            _say(["scancel", "--full", "--user", "root"], variables)
            with suppress(UnavailableError):  # the daemons end in any case
                _until(lambda: not _say(["squeue", "-h"], variables), folder)


_MUNGE_FILES = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}


@contextmanager
def _daemon(command: Sequence[str], log: Path) -> Iterator[None]:
    """Run a daemon in the foreground, out of reach of Ctrl-C; it ends with this process in any case."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _find(program: str) -> str:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def _free_block(length: int) -> int:
    """Return the first of so many neighbouring ports that nobody listens at, below those that systems hand out."""
    for first in range(10_000, 20_000 - length, length):
        try:
            for port in range(first, first + length):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise UnavailableError(f"no {length} free ports in a row")


def _until(is_so: Callable[[], bool], folder: Path, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            lines = [f"{log.name}: {_last_line(log)}" for log in sorted((folder / "log").iterdir())]
            raise UnavailableError("Slurm does not come up or does not end: " + "; ".join(lines))
        time.sleep(0.1)


def _say(command: Sequence[str], variables: dict[str, str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}).stdout


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "(nothing said)"
