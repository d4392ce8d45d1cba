import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import rank_workers
from steploop.engine.distributed import spawn
from steploop.engine.distributed.launch import launch
from steploop.engine.distributed.spawn import RankError

LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID")


@pytest.fixture(autouse=True)
def leaves_nothing(monkeypatch):
    """No launcher's environment before; no process and no group after."""
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    assert not dist.is_initialized()
    assert children_of(os.getpid()) <= {resource_tracker()}


def children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def resource_tracker() -> int | None:
    """Return the helper that multiprocessing starts once and keeps."""
    from multiprocessing import resource_tracker

    return resource_tracker._resource_tracker._pid


def until(condition, seconds: float = 30.0):
    """Wait for other processes: there is nothing to be told by."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.02)
    return result


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def reports(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank*.json"))]


def test_one_process_runs_here(tmp_path):
    launch(rank_workers.report, 1, args=(str(tmp_path),), device="cpu")
    (seen,) = reports(tmp_path)
    assert seen["pid"] == os.getpid()
    assert (seen["rank"], seen["world"], seen["local"], seen["backend"]) == (0, 1, [0, 1], None)


def test_two_processes_meet_and_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launch(rank_workers.report, 2, args=(str(tmp_path),), device="cpu")
    first, second = reports(tmp_path)
    assert (first["rank"], second["rank"]) == (0, 1)
    assert (first["local"], second["local"]) == ([0, 2], [1, 2])
    assert first["total"] == second["total"] == 2
    assert first["backend"] == "gloo"
    assert first["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)
    assert len({os.getpid(), first["pid"], second["pid"]}) == 3


def test_the_first_rank_that_raises_is_named_not_the_one_that_lost_its_partner():
    with pytest.raises(RankError, match="rank 1 failed") as caught:
        launch(rank_workers.raise_on, 2, args=(1,), device="cpu")
    assert caught.value.rank == 1
    assert "LookupError: the cause" in str(caught.value)
    assert "in raise_on" in str(caught.value)


def test_ranks_that_do_not_notice_a_failure_are_stopped(monkeypatch):
    monkeypatch.setattr(spawn, "GRACE", 0.2)
    started = time.monotonic()
    with pytest.raises(RankError, match="rank 0 failed"):
        launch(rank_workers.raise_while_others_compute, 2, args=(0,), device="cpu")
    assert time.monotonic() - started < 30


def test_a_killed_rank_is_the_cause_of_what_follows():
    with pytest.raises(RankError, match="rank 1 failed:\n\n.*SIGKILL.*memory") as caught:
        launch(rank_workers.die_on, 2, args=(1,), device="cpu")
    assert caught.value.rank == 1


def test_an_exit_code_is_handed_on_after_the_others_have_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(spawn, "GRACE", 0.0)
    with pytest.raises(SystemExit) as caught:
        launch(rank_workers.leave_with, 2, args=(85, [1], str(tmp_path)), device="cpu")
    assert caught.value.code == 85
    assert (tmp_path / "done").exists()


def test_a_message_given_to_exit_is_shown_once(tmp_path, capfd):
    with pytest.raises(SystemExit, match="error: no such key"):
        launch(rank_workers.leave_with, 2, args=("error: no such key", [0, 1], str(tmp_path)), device="cpu")
    assert "no such key" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_ranks_end_with_their_parent(tmp_path, sent):
    script = [sys.executable, rank_workers.__file__, "wait_forever", "2", str(tmp_path)]
    parent = subprocess.Popen(script, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    ranks = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    parent.send_signal(sent)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == -sent
    until(lambda: not any(is_alive(rank) for rank in ranks))
    if sent == signal.SIGINT:  # forwarded, and waited for
        assert len(list(tmp_path.glob("*.interrupted"))) == 2
        assert "RankError" not in errors


def test_a_thread_of_a_pool_does_not_keep_a_rank(tmp_path):
    script = [sys.executable, rank_workers.__file__, "leave_a_pool", "2", str(tmp_path)]
    subprocess.run(script, check=True, timeout=60, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_torchrun_is_joined(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--log-dir", str(tmp_path / "logs")]  # not in the machine's temporary folder
    command += [rank_workers.__file__, "report", "1", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    first, second = reports(tmp_path)
    assert (first["rank"], first["local"], first["total"]) == (0, [0, 2], 2)
    assert (second["rank"], second["local"], second["total"]) == (1, [1, 2], 2)


def test_a_launcher_that_does_not_say_where_to_meet(monkeypatch):
    for name, value in {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items():
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", value)
    with pytest.raises(ValueError, match="mpi .* does not name its job.*MASTER_ADDR"):
        launch(rank_workers.report, 1, device="cpu")


def test_too_few_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="2 processes on GPUs.*no GPU.*MODEL.DEVICE to 'cpu'"):
        launch(rank_workers.report, 2)


def test_several_machines_need_an_address():
    with pytest.raises(ValueError, match="--dist-url tcp://HOST:PORT"):
        launch(rank_workers.report, 1, num_machines=2, device="cpu")
    with pytest.raises(ValueError, match="machine_rank=2"):
        launch(rank_workers.report, 1, num_machines=2, machine_rank=2, device="cpu")
    with pytest.raises(ValueError, match="num_gpus_per_machine=0"):
        launch(rank_workers.report, 0, device="cpu")


def test_processes_that_are_only_numbered_meet_by_the_name_of_their_job(tmp_path):
    """What mpirun shows, without mpirun; and their launcher is ignored where this is asked for."""
    command = [sys.executable, rank_workers.__file__, "report", "1", str(tmp_path)]
    job = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "PMIX_NAMESPACE": f"test-{os.getpid()}"}
    ranks = [
        subprocess.Popen(
            command, env=os.environ | job | {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_LOCAL_RANK": rank}
        )
        for rank in ("0", "1")
    ]
    assert [rank.wait(60) for rank in ranks] == [0, 0]
    first, second = reports(tmp_path)
    assert (first["rank"], first["local"], first["total"]) == (0, [0, 2], 2)
    assert (second["rank"], second["local"], second["total"]) == (1, [1, 2], 2)
    assert first["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)


def test_a_launcher_can_be_ignored(tmp_path, monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    launch(rank_workers.report, 1, args=(str(tmp_path),), device="cpu", launcher="none")
    assert reports(tmp_path)[0]["world"] == 1
    with pytest.raises(ValueError, match="--launcher slurm.*start this program with srun"):
        launch(rank_workers.report, 1, device="cpu", launcher="slurm")
