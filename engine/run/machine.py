"""What other programs tell of this machine: its name, and git of a checkout on it."""

import socket
import subprocess
from pathlib import Path

_TIMEOUT = 5.0  # seconds


def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def git(folder: Path, *args: str) -> str | None:
    """Return what ``git ARGS`` prints about the checkout that holds `folder`; None where it fails or is not there.

    It takes no lock, so that a run does not disturb a git command of its user.
    """
    command = ["git", "--no-optional-locks", "-C", str(folder), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
