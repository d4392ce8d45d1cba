import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "evaluation.py"


def test_a_small_task_has_the_figures_of_the_usual_loop(tmp_path):
    path = tmp_path / "seen.json"
    command = [sys.executable, SCRIPT, "--size", "small", "--rounds", "2", "--usual", "40", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("round ") == 2
    titles = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    loops = ["usual loop, arrays", "usual loop, a list of precisions"]
    assert titles[2:] == ["matrix product", "ranking by counting", *loops]
    assert "peak beside the features" in done.stdout
    assert "the loops ran on 40 queries; their seconds are scaled to 60" in done.stdout
    seen = json.loads(path.read_text())
    assert len(seen["rounds"]) == 2
    for part in seen["rounds"]:
        assert part["difference"] < 1e-7
        assert part["tied_queries"] < 10
        assert 0.3 < part["figures"]["ours"]["mAP"] < 0.7
        assert 0 < part["peak_mib"] < 200


@pytest.fixture
def benchmark(monkeypatch):
    """Return the script as a module: what it starts as a process of its own is tested above."""
    spec = importlib.util.spec_from_file_location("benchmark_of_evaluation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_without_the_usual_loop(benchmark, capsys):
    size = benchmark.SIZES["small"]
    benchmark.print_table(size, 64, [benchmark.measure(size, 64, usual=0)])
    printed = capsys.readouterr().out
    assert "ranking by counting" in printed
    assert "loop" not in printed


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--usual", "61"], ["--usual", "-1"]])
def test_numbers_that_cannot_be(benchmark, arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluation.py", "--size", "small", *arguments])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "expected at least 1 round and 0..60 queries" in capsys.readouterr().err
