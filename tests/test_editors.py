"""What reads the sources without running them, type checkers and editors, finds every package under its name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("config", "engine", "modeling", "data")
# One that imports within its room, one that imports the engine, one that imports every part.
FILES = ("engine/train_loop.py", "projects/reid/train_net.py", "projects/reid/reid/trainer.py")
PYRIGHT = ("npx", "--offline", "--yes", "pyright@1.1.414")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)


def test_every_package_has_its_link() -> None:
    folders = [ROOT / name for name in FOLDERS]
    folders += [init.parent for init in ROOT.glob("projects/*/*/__init__.py") if init.parts[-2] == init.parts[-3]]
    links = [
        ROOT / ".links/steploop" / ("projects" if folder.parent != ROOT else "") / folder.name for folder in folders
    ]
    missing = [link for link, folder in zip(links, folders) if not (link.exists() and link.samefile(folder))]
    assert missing == [], "setup.py makes the links: run pip install -e . again"


def test_a_new_project_is_linked_and_its_types_are_checked(tmp_path: Path) -> None:
    package = tmp_path / "projects/toy/toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('size: int = "large"\n')
    (tmp_path / "projects/toy/tools").mkdir()
    (tmp_path / "projects/toy/tools/__init__.py").write_text("size: int = None\n")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    assert run(sys.executable, "setup.py", "--name", cwd=tmp_path).stdout.splitlines()[-1] == "steploop"
    links = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(".links/**/*") if path.is_symlink()}
    assert links == {f".links/steploop/{name}" for name in (*FOLDERS, "projects/toy")}
    result = run("mypy", cwd=tmp_path)
    assert ".links/steploop/projects/toy/__init__.py:1: error: Incompatible types" in result.stdout, result.stderr
    assert "Found 1 error" in result.stdout


@pytest.mark.skipif(shutil.which("npx") is None, reason="needs npx (node) to run pyright")
def test_pyright_finds_every_package() -> None:
    if run(*PYRIGHT, "--version", cwd=ROOT).returncode:
        pytest.skip(f"npx has no pyright yet: run npx --yes {PYRIGHT[-1]} --version once, with a network")
    report = json.loads(run(*PYRIGHT, "--outputjson", *FILES, cwd=ROOT).stdout)
    assert report["summary"]["filesAnalyzed"] == len(FILES)
    assert [found["message"] for found in report["generalDiagnostics"] if found["severity"] == "error"] == []
