import subprocess
import sys


def test_windows_is_refused_with_what_is_supported():
    code = "import sys; sys.platform = 'win32'; import steploop.engine"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: steploop.engine runs on Linux") and "WSL 2" in last
