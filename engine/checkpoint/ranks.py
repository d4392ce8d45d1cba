"""Decisions that all processes make together when they load a checkpoint. One process communicates nothing."""

from collections.abc import Callable
from typing import Any, TypeVar

from ..distributed import comm

T = TypeVar("T")


def decided_by_main(decide: Callable[[], T]) -> T:
    """Call `decide` on rank 0 only; return its value, or raise its error, on every rank.

    All ranks must call this function. The value and the error must be picklable.

    Raises:
        Exception: the one that `decide` raised on rank 0.
    """
    value, error = None, None
    if comm.is_main_process():
        try:
            value = decide()
        except Exception as failure:
            error = failure
    outcome: tuple[Any, Exception | None] = comm.all_gather((value, error))[0]
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def attempted_by_all(attempt: Callable[[], T]) -> T:
    """Call `attempt` on every rank; if it fails on one, raise on all, so that no rank waits for another without end.

    Raises:
        Exception: the one that `attempt` raised on this rank.
        RuntimeError: it failed on other ranks only.
    """
    value, error = None, None
    try:
        value = attempt()
    except Exception as failure:
        error = failure
    failures = comm.all_gather(None if error is None else str(error))
    if error is not None:
        raise error
    others = {rank: text for rank, text in enumerate(failures) if text is not None}
    if others:
        raise RuntimeError(f"other processes failed, by rank: {others}")
    return value  # type: ignore[return-value]  # there was no error, so it is what attempt returned
