"""The scripts that CI runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_types_of_a_new_project_are_checked(tmp_path: Path) -> None:
    package = tmp_path / "projects/toy/toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('size: int = "large"\n')
    (tmp_path / "projects/toy/tools").mkdir()
    (tmp_path / "projects/toy/tools/__init__.py").write_text("size: int = None\n")
    for folder in (".ci", ".mypy"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True)
    for name in ("config", "engine", "modeling", "data", "projects/reid/reid"):
        (tmp_path / name).mkdir(parents=True)
    result = subprocess.run(
        [tmp_path / ".ci/mypy"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert ".mypy/steploop/projects/toy/__init__.py:1: error: Incompatible types" in result.stdout, result.stderr
    assert "Found 1 error" in result.stdout
    assert result.returncode == 1


def test_a_command_that_the_readme_lacks_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "README.md").write_text("<!-- command: train -->\n```bash\necho train\n```\n")
    result = subprocess.run([tmp_path / ".ci/run", "--list"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "no bash block after the line '<!-- command: test -->'" in result.stderr
