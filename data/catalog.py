"""Data sets by name, and the folder that contains them."""

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steploop.config import UnknownKeyError
from steploop.config.errors import unknown


def datasets_root() -> Path:
    """Return the folder of the data sets: $STEPLOOP_DATASETS, or "datasets" in the working directory."""
    return Path(os.environ.get("STEPLOOP_DATASETS") or "datasets")


class Catalog:
    """Stores a function for each data set; nothing is read before `get`."""

    def __init__(self) -> None:
        self._makers: dict[str, Callable[[], Any]] = {}

    def register(self, name: str, func: Callable[[], Any]) -> None:
        """Register `func`, which returns the data set `name`; it should return the same at every call.

        Raises:
            TypeError: `func` is not callable.
            ValueError: the name is already registered.
        """
        if not callable(func):
            raise TypeError(f"data set {name!r}: expected a function without arguments, got {type(func).__name__}")
        if name in self._makers:
            raise ValueError(f"a data set {name!r} is registered already: remove it first, or choose another name")
        self._makers[name] = func

    def get(self, name: str) -> Any:
        """Call the data set's function and return its result.

        Raises:
            UnknownKeyError: (a KeyError) the name is unknown; the message has the nearest one.
        """
        if name not in self._makers:
            raise UnknownKeyError(unknown("data set", name, self.list()))
        return self._makers[name]()

    def remove(self, name: str) -> None:
        """Remove a name.

        Raises:
            KeyError: the name is unknown.
        """
        del self._makers[name]

    def list(self) -> builtins.list[str]:
        """Return the names in alphabetical order."""
        return sorted(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers


DatasetCatalog = Catalog()
"""The data sets that projects register by name."""
