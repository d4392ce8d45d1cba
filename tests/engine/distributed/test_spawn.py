import multiprocessing
from types import SimpleNamespace

import pytest

from steploop.engine.distributed.spawn import RankError, _End, _raise_first, _Rank


def dead_rank(number: int, exitcode: int, end: _End | None = None) -> _Rank:
    """A rank whose process is over; it may have reported before."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    if end is not None:
        sender.send(end)
    sender.close()
    process = SimpleNamespace(is_alive=lambda: False, join=lambda: None, exitcode=exitcode)
    rank = _Rank(number, process, receiver)
    rank.look()
    receiver.close()
    assert not rank.is_running
    return rank


def test_the_earliest_failure_is_the_cause():
    lost_partner = dead_rank(0, 1, _End(2.0, trace="Traceback\nConnectionError: closed"))
    cause = dead_rank(1, 1, _End(1.0, trace="Traceback\nValueError: bad"))
    with pytest.raises(RankError) as caught:
        _raise_first([lost_partner, cause])
    assert caught.value.rank == 1
    assert str(caught.value) == (
        "rank 1 failed:\n\nTraceback\nValueError: bad\nAfter that, rank 0 ended too: ConnectionError: closed"
    )


@pytest.mark.parametrize("exitcode, words", [(-9, "killed by SIGKILL"), (-11, "killed by SIGSEGV"), (3, "exit code 3")])
def test_a_silent_death_comes_before_every_report(exitcode, words):
    with pytest.raises(RankError, match=f"rank 1 failed:\n\n.*{words}"):
        _raise_first([dead_rank(0, 1, _End(1.0, trace="ConnectionError: closed")), dead_rank(1, exitcode)])


def test_an_exit_code_is_raised_again():
    with pytest.raises(SystemExit) as caught:
        _raise_first([dead_rank(0, 0), dead_rank(1, 85, _End(1.0, code=85))])
    assert caught.value.code == 85


def test_all_is_well():
    _raise_first([dead_rank(0, 0), dead_rank(1, 0)])
