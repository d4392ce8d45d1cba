import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "engine_overhead.py"


@pytest.mark.parametrize(("count", "expected"), [(20, (6, 15)), (6, (1, 6)), (3, (1, 3)), (100, (40, 61))])
def test_the_interval_of_a_median_is_that_of_the_sign_test(count, expected):
    # The ranks are those of the tables of order statistics (95 %).
    assert runpy.run_path(str(SCRIPT))["interval"](list(range(count, 0, -1))) == expected


def test_every_loop_of_ours_trains_the_same_weights(tmp_path):
    report = tmp_path / "pairs.json"
    command = [sys.executable, SCRIPT, "--rounds", "1", "--steps", "40", "--blocks", "1", "--json", report]
    done = subprocess.run(
        [*command, "--engines", "by hand,bare,full"], capture_output=True, text=True, cwd=tmp_path, timeout=240
    )
    assert done.returncode == 0, done.stderr
    pairs = json.loads(report.read_text())["pairs"]
    assert {name: [pair["same_weights"] for pair in found] for name, found in pairs.items()} == {
        "by hand": [True],
        "bare": [True],
        "full": [True],
    }
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")][1:] == list(pairs)


def test_an_unknown_engine_is_an_error_with_the_known_ones():
    done = subprocess.run([sys.executable, SCRIPT, "--engines", "fool"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "fool" in done.stderr and "by hand, bare, full" in done.stderr
