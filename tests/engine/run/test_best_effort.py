import errno

import pytest

from steploop.engine.run.best_effort import BestEffort


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_is_logged_and_reported_at_the_end(caplog):
    effort = BestEffort(OSError)
    assert not effort.attempt("the table", full)
    assert not effort.attempt("the table", full)
    assert not effort.attempt("the picture", full)
    assert effort.attempt("the picture", lambda: None)
    effort.report()
    end = [record.getMessage() for record in caplog.records if record.getMessage().startswith("In this run")]
    assert ["the table failed 2 times and was not written since" in end[0], "succeeded later" in end[1]] == [True, True]
    effort.report()
    assert sum(record.getMessage().startswith("In this run") for record in caplog.records) == 2


def test_only_the_named_errors_are_survived():
    with pytest.raises(TypeError):
        BestEffort(OSError).attempt("x", lambda: len(3))
    with pytest.raises(KeyboardInterrupt):
        BestEffort().attempt("x", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert not BestEffort().attempt("x", lambda: len(3))
