import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from steploop.engine.run import lock as lock_module
from steploop.engine.run.lock import FolderLock, current_holder

LOCK = "import sys; from steploop.engine.run.lock import FolderLock; lock = FolderLock(sys.argv[1])"
HOLD = f"{LOCK}; print(1, flush=True); input()"


def test_second_process_is_told_who_is_first_until_it_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(RuntimeError, match=rf"host {socket.gethostname()}, pid {holder.pid}, since 20"):
            FolderLock(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with FolderLock(tmp_path):
        pass


def test_same_process_twice_and_release(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(RuntimeError, match=f"pid {os.getpid()}"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


def test_forked_child_that_ends_does_not_drop_the_lock(tmp_path):
    with FolderLock(tmp_path):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        result = subprocess.run([sys.executable, "-c", LOCK, tmp_path], capture_output=True, text=True)
        assert "another run is going on" in result.stderr


def is_refused(folder):
    result = subprocess.run([sys.executable, "-c", LOCK, folder], capture_output=True, text=True)
    return "another run is going on" in result.stderr


@pytest.mark.skipif(not hasattr(fcntl, "F_OFD_SETLK"), reason="needs locks of open files (Linux)")
def test_code_that_opens_and_closes_the_file_does_not_drop_the_lock(tmp_path):
    with FolderLock(tmp_path):
        (tmp_path / ".lock").read_text()
        with (tmp_path / ".lock").open("r+"):
            pass
        assert is_refused(tmp_path)
    assert not is_refused(tmp_path)


def test_a_forked_child_that_lives_on_does_not_keep_the_folder(tmp_path):
    ready, end = os.pipe(), os.pipe()
    lock = FolderLock(tmp_path)
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(end[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        assert is_refused(tmp_path)
        lock.release()
        assert not is_refused(tmp_path)
    finally:
        os.write(end[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*ready, *end):
            os.close(descriptor)


def test_the_holder_can_be_asked_for(tmp_path):
    assert current_holder(tmp_path / "missing") is None
    with FolderLock(tmp_path):
        assert current_holder(tmp_path) == f"this process (pid {os.getpid()})"
        ask = f"from steploop.engine.run.lock import current_holder; print(current_holder({str(tmp_path)!r}))"
        told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout
        assert f"host {socket.gethostname()}, pid {os.getpid()}, since 20" in told
        assert is_refused(tmp_path)
    assert current_holder(tmp_path) is None


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_lock", refuse)


def sign(folder, host, pid):
    (folder / ".lock").write_text(json.dumps({"host": host, "pid": pid, "since": "2024-01-01"}))


def test_heartbeat_of_another_host_is_respected_for_a_minute(tmp_path, no_locks):
    threads = threading.active_count()
    sign(tmp_path, "elsewhere", 1)
    with pytest.raises(RuntimeError, match="host elsewhere, pid 1.*free in (60|59) s"):
        FolderLock(tmp_path)
    old = time.time() - 100
    os.utime(tmp_path / ".lock", (old, old))
    with FolderLock(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".lock").read_text()
    assert threading.active_count() == threads


def test_dead_process_of_this_host_does_not_hold(tmp_path, no_locks):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    sign(tmp_path, socket.gethostname(), child.pid)
    FolderLock(tmp_path).release()


def test_heart_beats_while_held(tmp_path, no_locks, monkeypatch):
    beaten = threading.Event()
    monkeypatch.setattr(lock_module, "_HEARTBEAT_SECONDS", 0)
    monkeypatch.setattr(os, "utime", lambda *_: beaten.set())
    with FolderLock(tmp_path):
        assert beaten.wait(30)
