"""What is loaded when: a light engine, and every module once."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "engine", "modeling", "data", "projects")
PROJECTS = [init.parent.name for init in ROOT.glob("projects/*/*/__init__.py")]
# What nobody should wait for who only wants the loop.
HEAVY = (
    "PIL",
    "tensorboard",
    "torch.utils.tensorboard",
    "fvcore.common.checkpoint",
    "steploop.data",
    "steploop.modeling",
    "steploop.projects",
)


def run(*command: str, **env: str) -> subprocess.CompletedProcess:
    """Run Python with these arguments from the root of the checkout; fail if it does."""
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result


def imported(result: subprocess.CompletedProcess) -> set[str]:
    """Return the modules that a run of `python -X importtime` imported."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[-1].strip() for line in lines}


def second_copies(files: Mapping[str, str | None]) -> list[str]:
    """Return what is wrong with {name of a loaded module: its file}: files of ours under a second name."""
    names: dict[Path, list[str]] = defaultdict(list)
    for name, file in files.items():
        if file and (path := Path(file).resolve()).is_relative_to(ROOT):
            names[path].append(name)
    sources = [ROOT / folder for folder in FOLDERS]
    return [
        f"{path.relative_to(ROOT)} is loaded as {', '.join(sorted(found))}"
        for path, found in names.items()
        if len(found) > 1
        or (any(map(path.is_relative_to, sources)) and not found[0].startswith(("steploop.", "__main__")))
    ]


def bare_names(modules: Iterable[str]) -> set[str]:
    """Return the modules of ours that were imported without `steploop.` before their name."""
    return {name for name in modules if name.split(".")[0] in (*FOLDERS, *PROJECTS)}


def test_the_engine_loads_nothing_heavy() -> None:
    # torch itself loads one or the other of them in some versions; that is not what is measured here.
    program = "import sys, torch; before = set(sys.modules); import steploop.engine; print(*set(sys.modules) - before)"
    loaded = run("-c", program).stdout.split()
    assert "steploop.engine.train_loop" in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []


def test_a_project_script_loads_every_module_once() -> None:
    loaded = imported(run("-X", "importtime", "projects/reid/train_net.py", "--print-config"))
    assert "steploop.projects.reid.trainer" in loaded
    assert bare_names(loaded) == set()


def test_pytest_loads_every_module_once() -> None:
    """The tests are collected by now, so that what they import is loaded, in the process that runs them."""
    assert bare_names(sys.modules) == set()
    # By its own name: an older name that stands for the same module is no second copy.
    modules = {getattr(module, "__name__", name): module for name, module in sys.modules.items()}
    files = {name: getattr(module, "__file__", None) for name, module in modules.items()}
    assert second_copies(files) == []


def test_a_second_copy_is_found() -> None:
    comm = str(ROOT / "engine" / "distributed" / "comm.py")
    assert second_copies({"steploop.engine.distributed.comm": comm}) == []
    assert second_copies({"engine.comm": comm}) == ["engine/distributed/comm.py is loaded as engine.comm"]
    assert second_copies({"steploop.engine.distributed.comm": comm, "comm": comm}) == [
        "engine/distributed/comm.py is loaded as comm, steploop.engine.distributed.comm"
    ]
    assert bare_names(["reid.trainer", "engine", "steploop.engine", "database"]) == {"reid.trainer", "engine"}
