import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "nuscenes_metrics.py"


def test_a_small_size(tmp_path):
    path = tmp_path / "seen.json"
    command = [sys.executable, SCRIPT, "--samples", "20", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "20 samples, 31 true and 500 predicted boxes each" in done.stdout
    seen = json.loads(path.read_text())
    assert 0.01 < seen["ours"]["mean_ap"] < 0.5
    assert seen["ours"]["seconds"] > 0
