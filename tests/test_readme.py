"""What README.md prints is what is run."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def block(mark: str, language: str) -> str:
    """Return the fenced block of README.md that follows the line "<!-- MARK -->"."""
    found = re.search(rf"^<!-- {mark} -->\n```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert found, f"README.md has no {language} block after the line '<!-- {mark} -->'"
    return found[1]


def test_ci_runs_the_commands_as_printed() -> None:
    listed = subprocess.run([ROOT / ".ci/run", "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.startswith(block("command: train", "bash") + block("command: test", "bash"))


@pytest.mark.parametrize("name", ["train", "test"])
def test_files_that_a_command_names_exist(name: str) -> None:
    words = shlex.split(block(f"command: {name}", "bash"))
    files = [word for word in words if Path(word).suffix in (".py", ".txt", ".yaml")]
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_project_of_the_readme_runs(tmp_path: Path) -> None:
    script = tmp_path / "project.py"
    script.write_text(block("example: project", "python"))
    result = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    shown = [float(percent) for percent in re.findall(r"^step \d+00: ([\d.]+) %", result.stdout, re.M)]
    assert len(shown) == 5
    assert shown[-1] > 95
    metrics = [json.loads(line) for line in (tmp_path / "output/spirals/metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [99, 199, 299, 399, 499]
    assert [line["accuracy"] for line in metrics] == pytest.approx(shown, abs=0.05001)
    assert list((tmp_path / "output/spirals").glob("events.out.tfevents.*"))
