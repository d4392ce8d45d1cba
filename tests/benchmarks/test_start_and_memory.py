import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "start_and_memory.py"
needs_statm = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def cells(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


@needs_statm
def test_imports_and_memory_are_told(tmp_path):
    report = tmp_path / "report.json"
    done = run("--rounds", 1, "--steps", 20_000, "--json", report)
    assert done.returncode == 0, done.stderr
    rows = cells(done.stdout)
    assert [row[0] for row in rows if row[0].startswith("import ")] == ["import torch", "import steploop.engine"]
    assert {"nobody reads", "JSON every 20"} <= {row[0] for row in rows}
    written = json.loads(report.read_text())
    assert {name: len(seconds) for name, seconds in written["imports"].items()} == {"torch": 1, "steploop.engine": 1}
    for figures in written["memory"].values():
        assert len(figures["resident"]) == len(figures["microseconds"]) == 100
        # The windows of the scalars are full after 1,000 steps; without bounds, these would take 6 MiB more.
        assert figures["resident"][-1] - figures["resident"][49] < 2**20


@needs_statm
def test_too_few_steps_are_refused():
    done = run("--steps", 99)
    assert done.returncode == 2 and "--steps at least 100" in done.stderr
