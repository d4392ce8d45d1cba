"""A wheel holds the whole house, also a project that was added to it, and is all that a machine needs."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "engine", "modeling", "data")

# Imports every module of the installed package and tells where things were found.
PROBE = """
import importlib, importlib.metadata, json, pathlib, sys
sources = [path.relative_to(sys.argv[1]) for path in pathlib.Path(sys.argv[1], "steploop").rglob("*.py")]
names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in sources]
print(json.dumps({
    "files": {name: importlib.import_module(name).__file__ for name in names},
    "version": importlib.metadata.version("steploop"),
    "metadata": str(importlib.metadata.distribution("steploop").locate_file("")),
}))
"""


def run(*command: object, cwd: Path, **env: str) -> str:
    """Run a command; return what it printed, fail with it if it fails."""
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def packaged_files(root: Path) -> set[str]:
    """Return the name in the wheel of every file of a tree that belongs there."""
    found = {}
    for folder in FOLDERS:
        found[folder] = root / folder
    for project in (root / "projects").iterdir():
        found[f"projects/{project.name}"] = project / project.name
        found[f"projects/{project.name}/configs"] = project / "configs"
    return {
        f"steploop/{place}/{file.relative_to(folder).as_posix()}"
        for place, folder in found.items()
        for file in folder.rglob("*")
        if file.suffix in (".py", ".yaml") or file.name == "py.typed"
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to which a project was added: one folder, and no edit outside it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in (*FOLDERS, "projects"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    package = tree / "projects/toy/toy"
    (package / "parts").mkdir(parents=True)
    (tree / "projects/toy/configs").mkdir()
    for file in (package / "__init__.py", package / "parts/__init__.py", package / "parts/wheel.py"):
        file.write_text("")
    (package / "py.typed").touch()
    (tree / "projects/toy/configs/toy.yaml").write_text("SEED: 1\n")
    (tree / "projects/toy/entry_points.txt").write_text("[steploop.writers]\nToy = steploop.projects.toy:make\n")
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of that copy, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-build-isolation", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, ".", cwd=tree)
    (wheel,) = folder.glob("steploop-*.whl")
    return wheel


def test_the_wheel_holds_every_file_of_the_tree(tree: Path, wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = packaged_files(tree)
    assert held == expected
    assert {
        "steploop/engine/py.typed",
        "steploop/engine/hooks/timer.py",
        "steploop/projects/reid/py.typed",
        "steploop/projects/reid/configs/omniglot.yaml",
        "steploop/projects/toy/parts/wheel.py",
        "steploop/projects/toy/configs/toy.yaml",
    } <= held


def test_the_wheel_declares_the_entry_points_of_every_project(wheel: Path) -> None:
    (name,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("entry_points.txt"))
    lines = zipfile.ZipFile(wheel).read(name).decode().splitlines()
    assert lines[0] == "[steploop.writers]"
    assert {
        "Toy = steploop.projects.toy:make",
        "mlflow = steploop.projects.trackers:mlflow_writer",
        "wandb = steploop.projects.trackers:wandb_writer",
    } == set(filter(None, lines[1:]))


def test_the_installed_wheel_is_what_is_imported(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, wheel, cwd=elsewhere)
    # The environment of the tests may hold an editable install; the path below comes before it.
    found = json.loads(run(sys.executable, "-c", PROBE, target, cwd=elsewhere, PYTHONPATH=str(target)))
    files = found["files"]
    assert {"steploop.engine", "steploop.projects.reid.trainer", "steploop.projects.toy.parts.wheel"} <= set(files)
    assert [name for name, file in files.items() if not Path(file).is_relative_to(target)] == []
    assert found["version"] == wheel.name.split("-")[1]
    assert Path(found["metadata"]) == target
