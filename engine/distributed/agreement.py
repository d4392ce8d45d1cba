"""What all ranks must have in common: rank 0 reads and decides, and a difference between ranks is an error."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from steploop.config.nested import leaves

from . import comm

T = TypeVar("T")
_LINES = 10  # of keys that differ; the first ones tell enough


def from_main(function: Callable[[], T]) -> T:
    """Call `function` on rank 0 only, and return its result, or raise its error, on every rank.

    Where each rank reads a file for itself, one of them may fail or see another content, and the others wait for it in
    the next collective operation. Every rank must call this.

    Args:
        function: its result can be pickled.

    Raises:
        Exception: what `function` raised, or a RuntimeError with the same text where that cannot be pickled.
    """
    result, error = None, None
    if comm.is_main_process():
        try:
            result = function()
        except Exception as raised:
            error = raised
    if comm.get_world_size() > 1:
        result, message = comm.all_gather((result, _portable(error)))[0]
        error = error or message
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _portable(error: Exception | None) -> Exception | None:
    """Return an error that can be sent to another process: its traceback and cause stay here."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # its class wants other arguments, or holds a lock or a file
        return RuntimeError(f"rank 0: {type(error).__name__}: {error}")


def check_same_config(config: Mapping[str, Any]) -> None:
    """Raise an error on every rank if their configs differ; every rank must call this.

    Ranks that a launcher started on several machines each read their own config file: a copy of it that is out of date
    would train on without a sign.

    Args:
        config: nested settings; values compare by their text.

    Raises:
        ValueError: it names the keys that differ, with the values of the ranks.
    """
    settings = {key: repr(value) for key, value in leaves(config)}
    digest = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()
    if len(set(comm.all_gather(digest))) == 1:
        return
    lines = []
    everyone = comm.all_gather(settings)
    for key in sorted(set().union(*everyone)):
        ranks_of: dict[str, list[int]] = {}
        for rank, seen in enumerate(everyone):
            ranks_of.setdefault(seen.get(key, "(absent)"), []).append(rank)
        if len(ranks_of) > 1:
            lines.append(f"  {key}: " + ", ".join(f"{value:.60} ({_names(r)})" for value, r in ranks_of.items()))
    raise ValueError(
        "the processes of this run have different settings; give each the same config file and command line:\n"
        + "\n".join(lines[:_LINES])
    )


def _names(ranks: list[int]) -> str:
    """Return "rank 3" or "ranks 0, 1 and 5 more"."""
    more = f" and {len(ranks) - 4} more" if len(ranks) > 4 else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:4]))}{more}"
