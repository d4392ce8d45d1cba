import subprocess

import torch

from steploop.engine.run import environment
from steploop.engine.run.environment import collect_env_info


def test_the_table_tells_what_a_run_ran_on():
    table = collect_env_info()
    for expected in ("Python", torch.__version__, "NumPy", "fvcore", "steploop", "CPU threads", "GPUs"):
        assert expected in table


def test_a_commit_is_that_of_our_checkout(tmp_path, monkeypatch):
    package = tmp_path / "engine"
    package.mkdir()
    (package / "file.py").write_text("x = 1\n")
    monkeypatch.setattr(environment, "_ENGINE", package)
    assert environment._commit() == "not a git checkout"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=n@n"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    clean = environment._commit()
    assert clean.startswith("commit ")
    assert len(clean.removeprefix("commit ")) >= 12
    (package / "file.py").write_text("x = 2\n")
    assert environment._commit() == f"{clean}-dirty"
    nested = package / "venv" / "engine"  # installed into an environment inside somebody else's checkout
    nested.mkdir(parents=True)
    monkeypatch.setattr(environment, "_ENGINE", nested)
    assert environment._commit() == "not a git checkout"


def test_what_cannot_be_found_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment._commit() == "not a git checkout"
    assert environment._version("no-such-distribution") == "not installed"

    def broken(index):
        raise RuntimeError("driver too old")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", broken)
    assert "cannot be used: driver too old" in collect_env_info()
