"""What differs between two configs, for a run that resumes under another one than it began with."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from .nested import leaves


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


# Stands for the value of a key that one of the configs does not hold; None is a value.
ABSENT = _Absent()


def diff_configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, old value, new value) of each key whose value differs, sorted by key.

    A value is ABSENT where a config does not hold the key. A list equals a tuple with the same items (YAML knows only
    lists), and NaN equals NaN.

    Args:
        old: a config, or the dict that `load_yaml` read from one.
        new: the same.
    """
    before, after = dict(leaves(old)), dict(leaves(new))
    keys = sorted(before.keys() | after.keys())
    changes = [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    return [(key, was, now) for key, was, now in changes if _comparable(was) != _comparable(now)]


def format_diff(changes: list[tuple[str, Any, Any]]) -> str:
    """Return the result of `diff_configs` as a table to print, "" when nothing differs."""
    if not changes:
        return ""
    rows = [(key, f"{was!r:.60}", f"{now!r:.60}") for key, was, now in changes]
    return tabulate(rows, headers=("key", "before", "now"), disable_numparse=True)


def _comparable(value: Any) -> str:
    """Return a text that is equal for equal values: NaN differs from itself, and True is 1 to ``==``."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_comparable, value))}]"
    return repr(value)
