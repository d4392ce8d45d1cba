"""Parses the text of one value, with the same rules for unquoted text in a file and for the command line."""

import ast
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

# A longer text is not parsed as a literal: Python's parser needs memory and stack in proportion to its length.
MAX_LITERAL = 10_000
# Largest number of nested levels of lists in one value.
MAX_NESTING = 30
# Python does not print an int of more than 4,300 digits, so a larger one could not be written to a file.
_MAX_BITS = 4096


class Plain(NamedTuple):
    """A type of unquoted text: its YAML tag, the pattern of its text and the function that parses it."""

    tag: str
    pattern: re.Pattern[str]
    parse: Callable[[str], Any]


def parse_value(text: str) -> Any:
    """Return the value of `text` on the command line.

    A Python literal of None, bool, int, float, str, list, tuple and dict is that value (``1e-3``, ``(10, 20)``,
    ``'quoted'``); otherwise the text is read like unquoted text in a file (``true``, ``null``, ``.inf``). All other
    text is returned as a str. It never raises.
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
    """Return why `value` is not allowed in a config, or None if it is allowed.

    Allowed are None, bool, int, float and str (exactly these types, so that YAML can write them), and lists, tuples and
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
    """Return the value of the literal `text`, or `text` itself if it is not a literal that a config can have."""
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
        # YAML 1.1 requires a point and a sign in the exponent: it reads 3e-4 and 1.0e3 as strings.
        (
            "float",
            r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.?(?:inf|Inf|INF))"
            r"|\.?(?:nan|NaN|NAN)",
            _float,
        ),
        # STEPS: (10, 20), as in the configs of detectron2 and similar projects.
        ("python-tuple", r"\((?s:.)*\)", _literal),
    ]
    return tuple(
        Plain(f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{regex})\Z"), parse) for name, regex, parse in forms
    )


# Fewer types than in YAML 1.1, on purpose: yes, no, on, off, 012, 1:30 and 2024-01-01 are strings.
PLAIN = _forms()
