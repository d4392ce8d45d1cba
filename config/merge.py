"""Merges values into a config, which must have each key, and checks the type of each value."""

import copy
import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType
from typing import Any, Protocol

from .bases import BASE_KEY, Layer
from .errors import ConfigError, UnknownKeyError, WrongTypeError, nearest, show, unknown
from .nested import dotted_names
from .scalars import MAX_NESTING, parse_value, problem_with

logger = logging.getLogger(__name__)

COMMAND_LINE = "the command line"
_NAMES = {
    int: "an int",
    float: "a float",
    bool: "a bool (True or False)",
    str: "a str",
    list: "a list",
    tuple: "a tuple",
}


class Section(Protocol):
    """The interface of a config, or of a part of one, that merging needs; `CfgNode` has it."""

    def __init__(self, *, new_allowed: bool) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def keys(self) -> Iterable[str]: ...  # noqa: D102  of dict
    def __getitem__(self, key: str, /) -> Any: ...
    def __setitem__(self, key: str, value: Any, /) -> None: ...
    def is_new_allowed(self) -> bool:
        """Return True if merging may add keys."""

    def expected_type(self, key: str) -> type:
        """Return the type of a key's values; NoneType if any type is allowed."""

    def takes_none(self, key: str) -> bool:
        """Return True if merging may set `key` to None."""

    def is_obsolete(self, name: str) -> bool:
        """Return True if files may still have the dotted key `name`, which has no effect any more."""


def merge(root: Section, layer: Layer) -> None:
    """Merge a layer into the config `root`, in place.

    Raises:
        UnknownKeyError: (a KeyError) `root` does not have a key, and its node does not allow new ones.
        WrongTypeError: (a ValueError and a TypeError) the type of a value is not that of the default. An int is
            accepted for a float, a list for a tuple and the reverse, None if the default is None.
        ConfigError: (a ValueError) an int is too large for a float, or keys are nested too deep.
    """
    _merge_node(root, layer.values, (), root, layer)


def read_overrides(root: Section, opts: Sequence[Any]) -> Iterator[Layer]:
    """Yield one layer for each override of ``[KEY, VALUE, "KEY=VALUE", ...]``.

    Text is read as a Python literal. For a key of type str it is used unchanged, except that quotes around the whole
    text are removed and that None is None.

    Raises:
        ConfigError: the last key has no value.
    """
    rest = iter(opts)
    for item in rest:
        key, sign, value = str(item).partition("=")
        if not sign:
            try:
                value = next(rest)
            except StopIteration:
                raise ConfigError(_no_value(key)) from None
        if isinstance(value, str):
            value = _decode(value, _expected_at(root, key.split(".")))
        yield layer_of(COMMAND_LINE, key, value)


def layer_of(source: str, key: str, value: Any) -> Layer:
    """Return the layer that sets one dotted key."""
    values = value
    for part in reversed(key.split(".")):
        values = {part: values}
    return Layer(source, values)


def _merge_node(node: Section, values: dict[str, Any], path: tuple[str, ...], root: Section, layer: Layer) -> None:
    if len(path) > MAX_NESTING:
        raise ConfigError(f"{layer.at(path)}: {_dotted(path):.80}... is nested more than {MAX_NESTING} levels deep")
    for key, value in values.items():
        here = (*path, str(key))
        if key not in node:
            if root.is_obsolete(_dotted(here)):
                _warn_once(f"{layer.at(here)}: {_dotted(here)} has no effect any more and is ignored")
                continue
            if not node.is_new_allowed():
                raise UnknownKeyError(_unknown(root, here, layer))
            if not is_key(key):
                raise ConfigError(f"{layer.at(here)}: {_dotted(here):.200}: a key is a str, not empty and without dots")
            node[key] = None  # from here on the key is known, and has no type: any value is accepted
        current = node[key]
        is_section = isinstance(current, dict)
        if isinstance(value, dict) and (is_section or node.expected_type(key) is NoneType):
            if not is_section:
                current = node[key] = type(node)(new_allowed=True)
            _merge_node(current, value, here, root, layer)
        else:
            node[key] = copy.deepcopy(_coerce(value, node, here, layer))  # the config must not share the layer's lists


def is_key(key: object) -> bool:
    """Return True if a config can have `key`; keys with dots would make dotted paths ambiguous."""
    return isinstance(key, str) and key != "" and "." not in key


def _coerce(value: Any, node: Section, path: tuple[str, ...], layer: Layer) -> Any:
    expected, came = node.expected_type(path[-1]), type(value)
    where = f"{layer.at(path)}: {_dotted(path)}"
    problem = problem_with(value)
    if problem:
        raise WrongTypeError(f"{where} is {problem}; a config holds bool, int, float, str, None, and lists of them")
    if came is expected or expected is NoneType or (value is None and node.takes_none(path[-1])):
        return value
    if came is int and expected is float:
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where} expects a float; {show(value)} is too large for one") from None
    if {came, expected} == {list, tuple}:
        return expected(value)
    name = _NAMES.get(expected, "a section (a mapping of keys to values)")
    raise WrongTypeError(f"{where} expects {name}; came {show(value)}{_remedy(came, expected, path)}")


def _remedy(came: type, expected: type, path: tuple[str, ...]) -> str:
    if expected not in _NAMES:
        return f"; set its keys, such as {_dotted(path)}.KEY"
    if came is NoneType:
        return "; None is taken only where the default is None" + ("; write '' for nothing" if expected is str else "")
    if came is str and expected in (list, tuple):
        return "; write a list with quoted names, such as ['a', 'b']"
    if came is float and expected is int:
        return "; write it without a point and an exponent"
    if expected is str:
        return "; put it in quotes"
    return ""


def _unknown(root: Section, path: tuple[str, ...], layer: Layer) -> str:
    dotted = _dotted(path)
    where = f"{layer.at(path)}: "
    text = f"{where}unknown key {dotted[:200]!r}"
    if path[-1] == BASE_KEY:
        return f"{text}: {BASE_KEY} can only be used at the top of a file"
    if dotted.startswith("-"):
        return f"{text}; options such as --resume go before the first KEY VALUE pair"
    known = dotted_names(dict(root))
    if nearest(dotted, known) == dotted:  # a key that holds dots
        return f"{text}; write it nested, one mapping for each part"
    return where + unknown("key", dotted, known)


def _expected_at(root: Section, path: Sequence[str]) -> type:
    node: Any = root
    for part in path[:-1]:
        node = node.get(part)
        if not isinstance(node, dict):
            return NoneType
    return node.expected_type(path[-1])


def _decode(text: str, expected: type) -> Any:
    value = parse_value(text)
    if expected is str and value is not None and not isinstance(value, str):
        return text
    return value


def _no_value(key: str) -> str:
    text = f"{COMMAND_LINE}: {key:.200} has no value"
    if key.startswith("-"):
        return f"{text}; options such as --resume go before the first KEY VALUE pair"
    return f"{text}; overrides are KEY VALUE pairs (SOLVER.BASE_LR 0.01) or KEY=VALUE"


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


@functools.cache
def _warn_once(text: str) -> None:
    logger.warning(text)  # once, although a merge runs on a copy first and a file is read more than once
