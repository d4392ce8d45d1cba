"""The differences between two configs, for a run that is resumed with a changed config."""

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from .nested import leaves


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


# The value of a key that one of the configs does not have; None is a normal value.
ABSENT = _Absent()


def diff_configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, old value, new value) of each key whose value differs, sorted by key.

    A value is ABSENT if a config does not have the key. A list equals a tuple with the same items (YAML has only
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
    """Return the result of `diff_configs` as a table to print; "" if nothing differs."""
    if not changes:
        return ""
    rows = [(key, f"{was!r:.60}", f"{now!r:.60}") for key, was, now in changes]
    return tabulate(rows, headers=("key", "before", "now"), disable_numparse=True)


def _comparable(value: Any) -> str:
    """Return a text to compare values by: with ``==``, NaN would differ from itself, and True would equal 1."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_comparable, value))}]"
    return repr(value)
