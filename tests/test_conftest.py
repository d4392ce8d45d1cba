"""The fixture that fails a test for what it leaves behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LEAVERS = """
import os, subprocess, sys, threading
import torch

STOP = threading.Event()

def test_group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)

def test_process():
    global child
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)

def test_thread():
    threading.Thread(target=STOP.wait, name="waiting").start()

def test_new_variable():
    os.environ["STEPLOOP_NEW"] = "1"

def test_changed_variable():
    os.environ["STEPLOOP_OLD"] = "2"

def test_removed_variable():
    del os.environ["STEPLOOP_OLD"]

def test_nothing(monkeypatch):
    assert not torch.distributed.is_initialized()
    assert os.environ["STEPLOOP_OLD"] == "1" and "STEPLOOP_NEW" not in os.environ
    monkeypatch.setenv("STEPLOOP_NEW", "1")
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

def test_end():
    child.communicate(b"\\n")
    STOP.set()
"""


def test_what_a_test_leaves_behind_fails_it(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_leavers.py").write_text(LEAVERS)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", ".", "."],
        cwd=tmp_path,
        env={**os.environ, "STEPLOOP_OLD": "1"},
        capture_output=True,
        text=True,
    )
    errors = re.findall(r"ERROR at teardown of (\w+) _+\nthe test left behind: ([^\d\n]*)", result.stdout)
    assert dict(errors) == {
        "test_group": "process group",
        "test_process": "process ",
        "test_thread": "thread waiting",
        "test_new_variable": "environment variable STEPLOOP_NEW",
        "test_changed_variable": "environment variable STEPLOOP_OLD",
        "test_removed_variable": "environment variable STEPLOOP_OLD",
    }, result.stdout
    assert "8 passed, 6 errors" in result.stdout
