import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "checkpoint_save.py"


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_every_way_of_saving_is_measured_in_every_round(tmp_path):
    report = tmp_path / "report.json"
    done = run("--rounds", 2, "--parameters", 100_000, "--folder", tmp_path, "--json", report)
    assert done.returncode == 0, done.stderr
    assert "round 2 of 2" in done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert [row[0] for row in rows[2:]] == [
        "plain copy into kept buffers",
        "torch.save",
        "torch.save and fsync",
        "steploop, synchronous",
        "steploop, asynchronous",
    ]
    assert rows[2][2] == "1.00"
    written = json.loads(report.read_text())
    assert written["megabytes"] == 0.8
    assert all(len(seconds) == 2 for figures in written["seconds"].values() for seconds in figures.values())
    assert "times a plain copy of the same round (goal: at most 1.2)" in done.stdout
    assert list(tmp_path.iterdir()) == [report]


def test_no_rounds_are_refused():
    done = run("--rounds", 0)
    assert done.returncode == 2 and "--rounds and --parameters are at least 1" in done.stderr
