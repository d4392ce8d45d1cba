"""Names in a config, and what they stand for."""

from collections.abc import Mapping
from typing import TypeVar

from steploop.config.errors import UnknownKeyError, unknown

T = TypeVar("T")


def look_up(key: str, name: str, known: Mapping[str, T]) -> T:
    """Return what `name` stands for.

    Args:
        key: the dotted config key that holds the name, for the error.
        name: what it holds.
        known: every name with what it stands for.

    Raises:
        KeyError: the name is unknown; the text lists the known ones and the nearest.
    """
    if name in known:
        return known[name]
    raise UnknownKeyError(f"{key}: {unknown('name', name, known)}")
