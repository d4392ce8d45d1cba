"""The scripts that CI runs."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_command_that_the_readme_lacks_is_named(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "README.md").write_text("<!-- command: train -->\n```bash\necho train\n```\n")
    result = subprocess.run([tmp_path / ".ci/run", "--list"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "no bash block after the line '<!-- command: test -->'" in result.stderr
