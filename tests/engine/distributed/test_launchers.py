import pytest

from steploop.engine.distributed.launchers import LaunchInfo, count_restarts, detect_launcher

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
MPI = {f"OMPI_COMM_WORLD_{k}": v for k, v in {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items()}
# As Slurm 22.05 shows them: to the script of `sbatch -n 4 -N 2`, and to a task of `srun -N2 -n4`.
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "3",
    "SLURM_JOB_NODELIST": "n[0-1]",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_TASKS_PER_NODE": "3,1",
}
SRUN = BATCH_SCRIPT | {
    "SLURM_PROCID": "3",
    "SLURM_NODEID": "1",
    "SLURMD_NODENAME": "n1",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[0-1]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "3,1",
}
# A process of mpirun shows the task of Slurm that started its daemon.
MPI_IN_SLURM = MPI | SRUN | {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}


def test_nobody():
    assert detect_launcher({}) is None
    assert detect_launcher({"RANK": "0"}) is None


def test_torchrun():
    environ = TORCHRUN | {"MASTER_ADDR": "host", "MASTER_PORT": "29500"}
    assert detect_launcher(environ) == LaunchInfo("pytorch", 3, 4, 1, 2, "host", 29500)


def test_a_cluster_that_sets_rank_and_world_size_only():
    assert detect_launcher({"RANK": "0", "WORLD_SIZE": "1"}) == LaunchInfo("pytorch", 0, 1, 0, 1)
    with pytest.raises(ValueError, match="LOCAL_RANK is not set"):
        detect_launcher({"RANK": "0", "WORLD_SIZE": "2"})


def test_mpi_comes_before_the_slurm_job_that_it_runs_in():
    assert detect_launcher(SRUN | MPI) == detect_launcher(MPI_IN_SLURM) == LaunchInfo("mpi", 1, 2, 1, 2)
    assert detect_launcher(SRUN | MPI | TORCHRUN).launcher == "pytorch"


def test_slurm_with_unequal_nodes():
    assert detect_launcher(SRUN) == LaunchInfo("slurm", 3, 4, 0, 1)
    assert detect_launcher(SRUN | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)"}).local_size == 2


def test_a_batch_script_is_no_job_step_and_a_step_of_one_task_is_alone():
    assert detect_launcher(BATCH_SCRIPT) is None
    assert detect_launcher(BATCH_SCRIPT | {"SLURM_STEP_NUM_TASKS": "2"}) is None
    assert detect_launcher(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}) is None


def test_a_launcher_that_is_named_is_the_only_one_that_counts():
    everything = SRUN | MPI | TORCHRUN
    assert [detect_launcher(everything, name).launcher for name in ("pytorch", "mpi", "slurm")] == [
        "pytorch",
        "mpi",
        "slurm",
    ]
    assert detect_launcher(everything, "none") is None
    alone = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0", "SLURM_NODEID": "0"}
    assert detect_launcher(SRUN | alone, "slurm") == LaunchInfo("slurm", 0, 1, 0, 1)


@pytest.mark.parametrize(
    "name, environ, message",
    [
        ("pytorch", SRUN | MPI, "--launcher pytorch: RANK and WORLD_SIZE are not set.*torchrun"),
        ("mpi", SRUN | TORCHRUN, "--launcher mpi: OMPI_COMM_WORLD_RANK.*mpirun"),
        ("slurm", BATCH_SCRIPT | MPI | TORCHRUN, "--launcher slurm: SLURM_STEP_ID is not set.*srun"),
        ("lsf", {}, "auto, none, pytorch, slurm, mpi; got 'lsf'"),
    ],
)
def test_a_launcher_that_is_named_and_not_there(name, environ, message):
    with pytest.raises(ValueError, match=message):
        detect_launcher(environ, name)


@pytest.mark.parametrize(
    "environ, message",
    [
        (TORCHRUN | {"RANK": "4"}, "contradicts itself: rank 4 of 4"),
        (TORCHRUN | {"LOCAL_RANK": "2"}, "local rank 2 of 2"),
        (TORCHRUN | {"WORLD_SIZE": "four"}, "WORLD_SIZE is 'four'"),
        (MPI | {"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        (SRUN | {"SLURM_NODEID": "2"}, "lists 2 nodes"),
        (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "two"}, "got 'two'"),
    ],
)
def test_a_broken_environment(environ, message):
    with pytest.raises(ValueError, match=message):
        detect_launcher(environ)


def test_restarts_are_counted():
    assert count_restarts(BATCH_SCRIPT) == 0
    assert count_restarts({"SLURM_RESTART_COUNT": "1"}) == 1
    assert count_restarts({"TORCHELASTIC_RESTART_COUNT": "0", "SLURM_RESTART_COUNT": "2"}) == 2
