import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from steploop.engine.distributed.parent_watch import ends_with_parent

# A parent that starts a child and dies when the child says that it watches; the child holds `pipe` while it lives.
PARENT = """
import os, signal, subprocess, sys
pipe = int(sys.argv[1])
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         pass_fds=[pipe])
child.stdout.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""
CHILD = """
import threading
from steploop.engine.distributed.parent_watch import ends_with_parent
with ends_with_parent():
    print("watching", flush=True)
    threading.Event().wait()
"""


def test_a_child_ends_with_its_parent_though_nobody_reads_what_it_says():
    reader, writer = os.pipe()
    try:
        parent = subprocess.Popen([sys.executable, "-c", PARENT, str(writer), CHILD], pass_fds=[writer])
        os.close(writer)
        parent.wait(60)
        assert select.select([reader], [], [], 30)[0], "the child lives on"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_nothing_is_left_behind():
    before = threading.active_count()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    with ends_with_parent():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_where_the_parent_cannot_be_seen(monkeypatch):
    monkeypatch.setattr(os, "getppid", lambda: 0)  # outside the container
    with ends_with_parent():
        pass
