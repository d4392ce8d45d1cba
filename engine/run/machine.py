"""The name of this machine, and the output of git commands."""

import socket
import subprocess
from pathlib import Path

_TIMEOUT = 5.0  # seconds


def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def git(folder: Path, *args: str) -> str | None:
    """Return the output of ``git ARGS`` in `folder`; None if it fails, takes more than 5 s, or git is not installed.

    It takes no lock, so it does not disturb a git command of the user.
    """
    command = ["git", "--no-optional-locks", "-C", str(folder), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
