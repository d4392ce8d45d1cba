"""Errors of configs; their messages are for the person who wrote the config."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80
# An error lists all known names, except if there are more than this.
_MAX_NAMES = 20


class ConfigError(ValueError):
    """A config that cannot be read or merged; the message names the file, the line and what to do."""


class WrongTypeError(ConfigError, TypeError):
    """A value of another type than its key expects."""


class UnknownKeyError(KeyError):
    """An unknown name; the message has the nearest known one."""

    def __str__(self) -> str:
        # KeyError prints the repr of its message: in quotes, with escaped newlines.
        return str(self.args[0]) if self.args else ""


class FrozenConfigError(AttributeError):
    """An attempt to change a frozen config."""


def show(value: Any) -> str:
    """Return `value` with its type in at most about 100 characters, for an error message."""
    if value is None:
        return "None"
    kind = type(value).__name__
    try:
        return f"the {kind} {_REPR.repr(value)}"
    except (ValueError, RecursionError):  # Python writes no int of more than 4,300 digits
        return f"{kind} that is too large to show"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` most likely stands for, or None.

    In this order: the same name except for case; the end of exactly one dotted name (``BASE_LR`` for
    ``SOLVER.BASE_LR``); the most similar name (`difflib`, ratio >= 0.6).
    """
    folded = {candidate.upper(): candidate for candidate in known}
    wanted = name.upper()
    if wanted in folded:
        return folded[wanted]
    tails = [key for key in folded if key.endswith("." + wanted.rpartition(".")[2])]
    if len(tails) == 1:
        return folded[tails[0]]
    similar = difflib.get_close_matches(wanted, folded, n=1)
    return folded[similar[0]] if similar else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the error message for a name that is not one of `known`.

    ``unknown key 'SOLVER.BASE_RL'; did you mean 'SOLVER.BASE_LR'?``, then the known names in their order. Of more than
    20 names, only those without a dot are listed, and none if there is a similar name.

    Args:
        what: the kind of the name, such as "key" or "data set".
        name: the unknown name.
        known: all valid names.
    """
    names = list(known)
    close = nearest(name, names)
    text = f"unknown {what} {name[:200]!r}" + (f"; did you mean {close!r}?" if close else ".")
    if len(names) > _MAX_NAMES:
        if close:
            return text
        names = [each for each in names if "." not in each]
    return f"{text} Known: {', '.join(names) or 'nothing yet'}"
