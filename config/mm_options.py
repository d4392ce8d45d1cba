"""The overrides of the mm-family's command line: ``--cfg-options model.backbone.depth=18 data.train.classes=[a,b]``."""

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ConfigError
from .python_config import merge_into
from .scalars import MAX_NESTING

_PAIRS = {"[": "]", "(": ")"}
_WORDS = {"true": True, "false": False}


def merge_options(config: Mapping[str, Any], options: Sequence[str]) -> dict[str, Any]:
    """Return `config` with options such as ``optimizer.lr=0.01`` merged in.

    A part of the key that is a number changes that element of a list: ``data.train.pipeline.2.keep_ratio=False``.

    Raises:
        ConfigError: an option without "=", a key that leads through a value that is no dict and no list, or a list
            without such an element.
    """
    result: Any = config
    for option in options:
        key, sign, text = option.partition("=")
        if not sign or not key or not all(key.split(".")):
            raise ConfigError(f"--cfg-options: {option!r:.200} is no KEY=VALUE; write such as optimizer.lr=0.01")
        changes: Any = parse_option(text)
        for part in reversed(key.split(".")):
            changes = {part: changes}
        result = merge_into(result, changes, "--cfg-options", lists=True)
    return dict(result)


def parse_option(text: str) -> Any:
    """Return what the text after "=" means.

    Numbers, true and false, None; ``[a,b]`` and ``a,b`` are lists, ``(a,b)`` a tuple, which may hold one another;
    anything else is the text. Quotes round the whole, and spaces in a list, are dropped.

    Raises:
        ConfigError: brackets that do not close, or more than 30 of them in one another.
    """
    stripped = text.strip("'\" ")
    return _parse(stripped, 0)


def _parse(text: str, level: int) -> Any:
    if level > MAX_NESTING:
        raise ConfigError(f"--cfg-options: {text:.80} is nested more than {MAX_NESTING} levels deep")
    closing = _PAIRS.get(text[:1])
    if closing:
        if not text.endswith(closing):
            raise ConfigError(f"--cfg-options: {text:.80} has no {closing!r} at its end")
        items = _parts(text[1:-1])
        values = [_parse(item.strip("'\" "), level + 1) for item in items if item.strip()]
        return tuple(values) if closing == ")" else values
    items = _parts(text)
    return [_parse(item.strip("'\" "), level + 1) for item in items] if len(items) > 1 else _scalar(text)


def _parts(text: str) -> list[str]:
    """Split at the commas that are not inside brackets."""
    parts, start, depth = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in _PAIRS) - (character in _PAIRS.values())
        if character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth != 0:
        raise ConfigError(f"--cfg-options: the brackets of {text:.80} do not match")
    return [*parts, text[start:]]


def _scalar(text: str) -> Any:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:  # also an int of more than 4,300 digits
            continue
    if text == "None":
        return None
    return _WORDS.get(text.lower(), text)
