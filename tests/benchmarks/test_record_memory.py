import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "record_memory.py"


def test_a_table_and_a_file(tmp_path):
    path = tmp_path / "memory.json"
    command = [sys.executable, SCRIPT, "--cases", "list:1000", "shared:1000", "--workers", "1", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:4] for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [[cell.strip() for cell in row] for row in rows] == [["1,000", "list", "1"], ["1,000", "shared", "1"]]
    plain, shared = json.loads(path.read_text())
    assert plain["buffer MiB"] is None and 0.5 < shared["buffer MiB"] < 1
    for row in (plain, shared):
        assert 0 < row["own at the start"] < row["share at the start"]
        assert 0 < row["own later"] < row["share later"]
