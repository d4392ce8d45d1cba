import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "data_pipeline.py"
PIPELINES = ["plain", "ours", "ours + normalised", "cache, first epoch", "cache", "cache + normalised"]


def run(*arguments):
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_table_and_a_file(tmp_path):
    path = tmp_path / "data.json"
    done = run("--images", 12, "--batch-size", 4, "--rounds", 2, "--workers", 0, "--cache", 1, "--json", path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["all pipelines give the same pixels", "round 1 of 2 done", "round 2 of 2 done"]
    rows = [line.split("|")[1:3] for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [(int(workers), name.strip()) for workers, name in rows] == [(0, name) for name in PIPELINES]
    found = json.loads(path.read_text())
    assert [len(measured) for measured in found["rounds"].values()] == [2]
    assert 2000 < found["settings"]["bytes_per_image"] < 4000
    plain = found["rows"][0]
    assert plain["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert 0 < plain["images_per_second"]["min"] <= plain["images_per_second"]["max"]


def test_a_number_of_images_that_makes_no_batches_is_an_error():
    done = run("--images", 100, "--batch-size", 64)
    assert done.returncode == 2 and "a multiple of it" in done.stderr


@pytest.fixture
def pipelines(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import data_pipeline

    yield data_pipeline
    del sys.modules["data_pipeline"]


def test_other_pixels_are_found(tmp_path, monkeypatch, pipelines):
    bench = pipelines.Bench(pipelines.make_dataset(tmp_path, 8), 4, 1)
    bench.check(0)
    monkeypatch.setattr(torch.Tensor, "flip", lambda self, axis: self)
    with pytest.raises(RuntimeError, match="plain pipeline does not do the same work, with 0 workers"):
        bench.check(0)
