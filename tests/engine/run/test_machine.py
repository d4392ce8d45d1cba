import socket

from steploop.engine.run.machine import git, host_name


def test_the_name_of_this_machine():
    assert host_name() == socket.gethostname()


def test_git_that_fails_or_is_missing_tells_nothing(tmp_path, monkeypatch):
    assert git(tmp_path, "rev-parse", "HEAD") is None  # no checkout
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git(tmp_path, "--version") is None
