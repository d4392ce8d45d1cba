import json
import subprocess
import sys
from pathlib import Path

import pytest

VICTIM = Path(__file__).resolve().parents[2] / "support" / "checkpoint_victim.py"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_kill_at_any_point_of_a_save_leaves_a_valid_checkpoint(tmp_path, mode):
    result = subprocess.run([sys.executable, VICTIM, tmp_path, mode], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    left = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(left) > 20
    # Each found state is that of one iteration as a whole, and the new one takes the place of the old one once.
    assert all(entry["weights"] == [entry["iteration"]] for entry in left)
    iterations = [entry["iteration"] for entry in left]
    assert iterations == sorted(iterations)
    assert set(iterations) == {0, 1}
    # Killed inside the file's or the pointer's write, a temporary file is left, which cleaning removes.
    assert any(entry["leftovers"] for entry in left)
    assert all(name.startswith(("model_", "last_checkpoint")) for entry in left for name in entry["files"])
    # The old file is there as long as the pointer names it.
    assert all(entry["pointer"] in entry["files"] for entry in left)
