"""The harness itself must see what it is there to see."""

import os

import pytest

from fuzzing import CORRECT, Failure, harness, observe


class Foreign(ValueError):
    pass


def fail_with(error):
    def read():
        raise error

    return read


def test_outcomes(box):
    box.clear()
    assert observe(lambda: None, (), box) == CORRECT
    assert observe(fail_with(ValueError("what is wrong with it")), (ValueError,), box) == "ValueError"


ERRORS = (ValueError("short"), Foreign("a subclass of it"), RecursionError("too deep in it"), AssertionError("wrong"))


@pytest.mark.parametrize("error", ERRORS)
def test_other_errors_are_failures(box, error):
    box.clear()
    with pytest.raises(Failure, match="undocumented"):
        observe(fail_with(error), (ValueError,), box)


def test_a_hang_is_a_failure(box, monkeypatch):
    monkeypatch.setattr(harness, "SECONDS", 0.05)
    os.mkfifo(box.clear() / "pipe")

    def wait():
        try:
            (box.run / "pipe").read_bytes()
        except Exception as error:
            raise ValueError("the input is damaged") from error

    with pytest.raises(Failure, match="still busy"):
        observe(wait, (ValueError,), box)


@pytest.mark.parametrize("command", ["touch ran", "rm file", "echo x >> outside/file", "mkdir outside/new"])
def test_a_trace_outside_of_the_run_is_a_failure(box, command):
    box.clear()
    with pytest.raises(Failure, match="changed what is outside"):
        observe(lambda: os.system(command), (), box)
    assert observe(lambda: os.system("touch run/fine"), (), box) == CORRECT
