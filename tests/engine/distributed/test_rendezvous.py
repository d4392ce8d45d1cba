import stat

import pytest

from steploop.engine.distributed.launchers import LaunchInfo, detect_launcher
from steploop.engine.distributed.rendezvous import (
    NUM_CANDIDATES,
    PORTS,
    candidate_ports,
    find_rendezvous,
    first_host,
    job_name,
    mpirun_addresses,
)

# As `srun -N2 --ntasks-per-node=1` of Slurm 22.05 and `mpirun -n 2` of Open MPI 4.1 show them.
SRUN = {
    "SLURM_JOB_ID": "2",
    "SLURM_JOB_NODELIST": "n[0-3]",
    "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[0-1]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURMD_NODENAME": "n1",
}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_MCA_ess_base_jobid": "41156609",
    "OMPI_MCA_orte_hnp_uri": "41156608.0;tcp://127.0.0.1:58593",
}
MPI_ON_TWO = MPI | {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}


def meet(environ, number=0):
    info = detect_launcher(environ)
    assert isinstance(info, LaunchInfo)
    return find_rendezvous(info, environ, number)


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """Put a program in the place of scontrol that says what it is told."""

    def say(text):
        program = tmp_path / "scontrol"
        program.write_text(f"#!/bin/sh\n[ \"$*\" = '--oneliner show node n0' ] && echo '{text}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    monkeypatch.setattr("socket.getaddrinfo", _knows("localhost"))
    return say


def _knows(*names):
    def getaddrinfo(host, port):
        if host not in names:
            raise OSError("Name or service not known")
        return []

    return getaddrinfo


@pytest.mark.parametrize(
    "nodelist, host",
    [
        ("n0", "n0"),
        ("n[0-1]", "n0"),
        ("gpu[08-11,20],login", "gpu08"),
        ("login,gpu[08-11]", "login"),
        ("rack[2-3]-node[07,9],x", "rack2-node07"),
        ("a-b.c[3]x,d", "a-b.c3x"),
    ],
)
def test_the_first_host_of_a_list(nodelist, host):
    assert first_host(nodelist) == host


@pytest.mark.parametrize("nodelist", ["", ",n0", "[0-1"])
def test_what_is_no_list_of_hosts(nodelist):
    with pytest.raises(ValueError, match="node list looks like"):
        first_host(nodelist)


def test_addresses_of_mpirun():
    assert mpirun_addresses("1234.0;tcp://10.0.0.1,192.168.0.1:5678") == ("10.0.0.1", "192.168.0.1")
    assert mpirun_addresses("1234.0;usock;tcp://10.0.0.1:5678") == ("10.0.0.1",)
    assert mpirun_addresses("") == ()


def test_ports_follow_from_the_job_and_lie_below_those_that_systems_hand_out():
    ports = candidate_ports("slurm 2 0 0")
    assert ports == candidate_ports("slurm 2 0 0")
    assert len(ports) == NUM_CANDIDATES and set(ports) <= set(PORTS)
    assert PORTS.start > 1024 and PORTS.stop <= 32768
    firsts = {candidate_ports(f"slurm {job} 0 0")[0] for job in range(100)}
    assert len(firsts) > 90  # jobs on one host seldom try the same port first


def test_a_job_is_named_by_its_number_step_and_restart():
    names = [
        job_name("slurm", SRUN | change)
        for change in ({}, {"SLURM_JOB_ID": "3"}, {"SLURM_STEP_ID": "1"}, {"SLURM_RESTART_COUNT": "1"})
    ]
    assert len(set(names)) == 4
    assert job_name("mpi", SRUN | MPI) == "mpi 41156609"
    assert job_name("mpi", {"PMIX_NAMESPACE": "prterun-vm-1@1"}) == "mpi prterun-vm-1@1"


def test_processes_of_one_machine_meet_on_it():
    assert meet(MPI).addresses == ("127.0.0.1",)
    one_node = {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0"}
    assert meet(SRUN | one_node).addresses == ("127.0.0.1",)


def test_all_ranks_of_a_run_look_at_the_same_place_and_those_of_another_do_not(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", _knows("n0"))
    first = meet(SRUN | {"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURMD_NODENAME": "n0"})
    assert first == meet(SRUN)
    again, other = meet(SRUN, number=1), meet(SRUN | {"SLURM_STEP_ID": "1"})
    assert len({first.token, again.token, other.token}) == 3
    assert len({first.ports, again.ports, other.ports}) == 3


def test_nodes_of_a_step_meet_at_its_first_not_at_that_of_the_job(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", _knows("n2"))
    assert meet(SRUN | {"SLURM_STEP_NODELIST": "n[2-3]"}).addresses == ("n2",)


def test_a_node_of_which_only_slurm_knows_the_address(scontrol):
    scontrol("NodeName=n0 Arch=x86_64 NodeAddr=10.1.2.3 NodeHostName=vm Port=16820")
    assert meet(SRUN).addresses == ("10.1.2.3",)
    scontrol("Node n0 not found")
    with pytest.raises(ValueError, match=r"n0, has no address here \(Node n0 not found\): set MASTER_ADDR"):
        meet(SRUN)


def test_a_node_that_nobody_knows(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", _knows())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="scontrol is not here.*MASTER_ADDR"):
        meet(SRUN)


def test_rank_0_on_another_node_than_the_first():
    with pytest.raises(ValueError, match="rank 0 runs on n1, not on the step's first node n0: set MASTER_ADDR"):
        meet(SRUN | {"SLURM_PROCID": "0"})


def test_mpi_on_two_machines():
    assert meet(MPI_ON_TWO | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://192.0.2.1,192.0.2.2:5"}).addresses == (
        "192.0.2.1",
        "192.0.2.2",
    )
    rank_0 = MPI_ON_TWO | {"OMPI_COMM_WORLD_RANK": "0"}
    assert meet(rank_0).addresses == ("127.0.0.1",)
    with pytest.raises(ValueError, match=r"rank 0 does not run on mpirun's machine \(192.0.2.1\): set MASTER_ADDR"):
        meet(rank_0 | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://192.0.2.1:5"})
    with pytest.raises(ValueError, match="does not name the first: set MASTER_ADDR"):
        meet(MPI_ON_TWO | {"OMPI_MCA_orte_hnp_uri": ""})


def test_what_the_user_sets_holds():
    assert meet(MPI_ON_TWO | {"MASTER_ADDR": "host"}).addresses == ("host",)
    assert meet(MPI_ON_TWO | {"MASTER_ADDR": "host"}).ports == meet(MPI_ON_TWO).ports
    assert meet(MPI | {"MASTER_PORT": "29500"}).ports == (29500,)


def test_a_job_without_a_name():
    with pytest.raises(ValueError, match="mpi has started this process but does not name its job: set MASTER_ADDR"):
        meet({name: value for name, value in MPI.items() if name != "OMPI_MCA_ess_base_jobid"})
