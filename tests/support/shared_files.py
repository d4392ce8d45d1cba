"""Finds the reference figures and real images that lie beside the checkout."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("STEPLOOP_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def shared(name: str) -> Path:
    """Return the path of a shared file, or skip the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not here: set STEPLOOP_SHARED to the folder that holds it (looked in {SHARED})")
    return path
