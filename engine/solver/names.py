"""Looks up names from a config."""

from collections.abc import Mapping
from typing import TypeVar

from steploop.config.errors import UnknownKeyError, unknown

T = TypeVar("T")


def look_up(key: str, name: str, known: Mapping[str, T]) -> T:
    """Return the entry of `known` with this name.

    Args:
        key: the dotted config key that contains the name, for the error.
        name: the value of that key.
        known: all valid names and their values.

    Raises:
        KeyError: the name is unknown; the text lists the known ones and the nearest.
    """
    if name in known:
        return known[name]
    raise UnknownKeyError(f"{key}: {unknown('name', name, known)}")
