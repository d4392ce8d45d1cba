import os
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

import slow_release
from steploop.engine.distributed import native_threads
from steploop.engine.distributed.native_threads import wait_for_native_threads


def run_ranks(how: str) -> list[tuple[int, str, str]]:
    """Run two ranks as torchrun starts them; return the exit code and the output of each."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(minutes=1))
    environment = os.environ | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    ranks = [
        subprocess.Popen(
            [sys.executable, slow_release.__file__, how],
            env=environment | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    return [(rank.returncode, *output) for rank, output in zip(ranks, outputs)]


def test_a_rank_that_ends_while_gloo_releases_a_tensor_keeps_its_exit_code():
    for code, out, errors in run_ranks("exit"):
        assert code == 7, errors
        assert out == "after launch\na line that is not flushedexit handler\n"


def test_a_rank_that_fails_while_gloo_releases_a_tensor_keeps_its_traceback():
    for code, out, errors in run_ranks("raise"):
        assert code == 1, errors
        assert "LookupError: told to raise" in errors and "in work" in errors
        assert out == ""


@pytest.fixture
def thread_of_torch(tmp_path, monkeypatch):
    """Give a function that sets how the only thread of torch looks, in turn; the last look stays."""
    monkeypatch.setattr(native_threads, "_TASKS", tmp_path)
    monkeypatch.setattr(native_threads, "_PAUSE", 0.0)
    looks: list[tuple[str, int]] = []
    seen: list[tuple[str, int]] = []

    def next_look() -> dict[str, str]:
        look = looks.pop(0) if len(looks) > 1 else looks[0]
        seen.append(look)
        (tmp_path / "7").mkdir(exist_ok=True)
        (tmp_path / "7" / "comm").write_text("pt_gloo_runloop\n")
        state, switches = look
        (tmp_path / "7" / "status").write_text(f"State:\t{state} (x)\nvoluntary_ctxt_switches:\t{switches}\n")
        return marks()

    marks = native_threads._busy_marks
    monkeypatch.setattr(native_threads, "_busy_marks", next_look)
    return looks, seen


def test_a_thread_that_runs_or_waits_for_the_interpreter_is_waited_for(thread_of_torch):
    looks, seen = thread_of_torch
    looks += [("R", 1), ("S", 2), ("S", 3), ("R", 3), ("S", 4)]
    assert wait_for_native_threads()
    assert seen[:5] == [("R", 1), ("S", 2), ("S", 3), ("R", 3), ("S", 4)]
    assert len(seen) == 5 + native_threads._LOOKS


def test_a_thread_that_never_rests_is_not_waited_for_longer_than_told(thread_of_torch, caplog):
    looks, _ = thread_of_torch
    looks += [("R", 1)]
    assert not wait_for_native_threads(seconds=0.01)
    assert "still work" in caplog.text


def test_without_such_threads_nothing_is_waited_for(monkeypatch):
    monkeypatch.setattr(native_threads, "_PAUSE", threading.TIMEOUT_MAX)
    assert wait_for_native_threads()
