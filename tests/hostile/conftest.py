"""What the tests of hostile input share."""

import pytest

from fuzzing import Box


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path / "box")
