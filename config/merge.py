"""Merges values into a config: each key must be known to it, each value have the type that it expects."""

import copy
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any

from .bases import BASE_KEY, Layer
from .errors import ConfigError, UnknownKeyError, WrongTypeError, nearest, show
from .scalars import MAX_NESTING, parse_value, problem_with

if TYPE_CHECKING:
    from .node import CfgNode

COMMAND_LINE = "the command line"
_NAMES = {
    int: "an int",
    float: "a float",
    bool: "a bool (True or False)",
    str: "a str",
    list: "a list",
    tuple: "a tuple",
}


def merge(root: "CfgNode", layer: Layer) -> None:
    """Merge a layer into the config `root`, in place.

    Raises:
        UnknownKeyError: (a KeyError) a key that `root` does not hold, outside the nodes that allow new ones.
        WrongTypeError: (a ValueError and a TypeError) a value of another type than the default's. An int is fine where
            a float is expected, a list where a tuple is and the reverse, None where the default is None.
        ConfigError: (a ValueError) an int too large for a float, or keys nested too deep.
    """
    _merge_node(root, layer.values, (), root, layer)


def read_overrides(root: "CfgNode", opts: Sequence[Any]) -> Iterator[Layer]:
    """Yield one layer for each override of ``[KEY, VALUE, "KEY=VALUE", ...]``.

    Text is read as a literal; for a key that expects a str it is taken as it stands, but for quotes round the whole and
    for None. Raises ConfigError when the last key has no value.
    """
    rest = iter(opts)
    for item in rest:
        key, sign, value = str(item).partition("=")
        if not sign:
            try:
                value = next(rest)
            except StopIteration:
                raise ConfigError(_no_value(key)) from None
        path = tuple(key.split("."))
        values = _decode(value, _expected_at(root, path)) if isinstance(value, str) else value
        for part in reversed(path):
            values = {part: values}
        yield Layer(COMMAND_LINE, values)


def _merge_node(node: "CfgNode", values: dict[str, Any], path: tuple[str, ...], root: "CfgNode", layer: Layer) -> None:
    if len(path) > MAX_NESTING:
        raise ConfigError(f"{layer.at(path)}: {_dotted(path):.80}... is nested more than {MAX_NESTING} levels deep")
    for key, value in values.items():
        here = (*path, str(key))
        if key not in node:
            if not node.is_new_allowed():
                raise UnknownKeyError(_unknown(root, here, layer))
            if not is_key(key):
                raise ConfigError(f"{layer.at(here)}: {_dotted(here):.200}: a key is a str, not empty and without dots")
            node[key] = None  # known from here on, and without a type: any value will do
        current = node[key]
        is_section = isinstance(current, dict)
        if isinstance(value, dict) and (is_section or node.expected_type(key) is NoneType):
            if not is_section:
                current = node[key] = type(node)(new_allowed=True)
            _merge_node(current, value, here, root, layer)
        else:
            node[key] = copy.deepcopy(_coerce(value, node, here, layer))  # the layer keeps its own lists


def is_key(key: object) -> bool:
    """Return whether a config can hold `key`: dotted paths must stay unambiguous."""
    return isinstance(key, str) and key != "" and "." not in key


def _coerce(value: Any, node: "CfgNode", path: tuple[str, ...], layer: Layer) -> Any:
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


def _unknown(root: "CfgNode", path: tuple[str, ...], layer: Layer) -> str:
    dotted = _dotted(path)
    text = f"{layer.at(path)}: unknown key {dotted:.200}"
    if path[-1] == BASE_KEY:
        return f"{text}: {BASE_KEY} can only be used at the top of a file"
    if dotted.startswith("-"):
        return f"{text}; options such as --resume go before the first KEY VALUE pair"
    known = list(_keys(root))
    close = nearest(dotted, known)
    if close == dotted:  # a key that holds dots
        return f"{text}; write it nested, one mapping for each part"
    if close:
        return f"{text}; did you mean {close}?"
    return f"{text}; known here: {', '.join(sorted(root))}"


def _keys(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def _expected_at(root: "CfgNode", path: tuple[str, ...]) -> type:
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
