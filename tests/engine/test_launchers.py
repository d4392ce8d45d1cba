import pytest

from steploop.engine.launchers import LaunchInfo, detect_launcher

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
MPI = {f"OMPI_COMM_WORLD_{k}": v for k, v in {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items()}
BATCH_SCRIPT = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "7"}
SRUN = BATCH_SCRIPT | {
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "3,1",
}


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
    assert detect_launcher(SRUN | MPI) == LaunchInfo("mpi", 1, 2, 1, 2)
    assert detect_launcher(SRUN | MPI | TORCHRUN).launcher == "pytorch"


def test_slurm_with_unequal_nodes():
    assert detect_launcher(SRUN) == LaunchInfo("slurm", 3, 4, 0, 1)
    assert detect_launcher(SRUN | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)"}).local_size == 2


def test_a_batch_script_is_no_job_step_and_a_step_of_one_task_is_alone():
    assert detect_launcher(BATCH_SCRIPT) is None
    assert detect_launcher(BATCH_SCRIPT | {"SLURM_STEP_NUM_TASKS": "2"}) is None
    assert detect_launcher(SRUN | {"SLURM_STEP_NUM_TASKS": "1"}) is None


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
