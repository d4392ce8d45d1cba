"""What one piece of text means: the same in a file, unquoted, as on the command line."""

import ast
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

# A longer text is no literal: Python's parser needs memory and stack in proportion to it.
MAX_LITERAL = 10_000
# Levels of lists in lists that one value may have.
MAX_NESTING = 30
# Python prints no int of more than 4,300 digits, so a larger one could not be written down again.
_MAX_BITS = 4096


class Plain(NamedTuple):
    """A form of unquoted text: its YAML tag, what it looks like and the function that reads it."""

    tag: str
    pattern: re.Pattern[str]
    parse: Callable[[str], Any]


def parse_value(text: str) -> Any:
    """Return what `text` means on the command line.

    A Python literal made of None, bool, int, float, str, list, tuple and dict is that value (``1e-3``, ``(10, 20)``,
    ``'quoted'``); else what a file would take the unquoted text for (``true``, ``null``, ``.inf``); else the text.
    Never raises, whatever the text.
    """
    value = _literal(text)
    if value is not text or text == "":  # nothing after a key is null in a file, but '' in a shell
        return value
    for plain in PLAIN:
        if plain.pattern.match(text):
            try:
                return plain.parse(text)
            except ValueError:  # an int of more than 4,300 digits, which Python does not read
                return text
    return text


def problem_with(value: Any, level: int = 0) -> str | None:
    """Return why a config cannot hold `value`, or None if it can.

    It holds None, bool, int, float and str (exactly these types, so that YAML can write them), and lists, tuples and
    dicts of them.
    """
    if level > MAX_NESTING:
        return f"nested more than {MAX_NESTING} levels deep"
    if type(value) in (list, tuple):
        return next(filter(None, (problem_with(item, level + 1) for item in value)), None)
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            return "a dict whose keys are not all strings"
        return next(filter(None, (problem_with(item, level + 1) for item in value.values())), None)
    if type(value) is int and value.bit_length() > _MAX_BITS:
        return f"an int of more than {_MAX_BITS} bits"
    if type(value) in (int, float, str, bool, type(None)):
        return None
    kind = type(value)
    return f"of type {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")


def _literal(text: str) -> Any:
    """Return the literal that `text` is, or `text` itself if it is none or none that a config can hold."""
    if len(text) > MAX_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a path such as C:\data is "an invalid escape sequence"
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # all that literal_eval documents
        return text
    return text if problem_with(value) else value


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _forms() -> tuple[Plain, ...]:
    forms: list[tuple[str, str, Callable[[str], Any]]] = [
        ("bool", r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
        ("null", r"~|null|Null|NULL|None|", lambda text: None),
        (
            "int",
            r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)",
            lambda text: int(text, 0),
        ),
        # YAML 1.1 wants a point and a sign: it takes 3e-4 and 1.0e3 for strings.
        (
            "float",
            r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.?(?:inf|Inf|INF))"
            r"|\.?(?:nan|NaN|NAN)",
            _float,
        ),
        # STEPS: (10, 20), as the configs of this family write it.
        ("python-tuple", r"\((?s:.)*\)", _literal),
    ]
    return tuple(
        Plain(f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{regex})\Z"), parse) for name, regex, parse in forms
    )


# Shorter than YAML 1.1's list on purpose: yes, no, on, off, 012, 1:30 and 2024-01-01 stay the text that they look like.
PLAIN = _forms()
