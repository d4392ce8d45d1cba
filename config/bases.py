"""Reads a config file and the files that its `_BASE_` names."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError, show
from .safe_yaml import Lines, expand, read_yaml

BASE_KEY = "_BASE_"
MAX_CHAIN = 16
# A file may name several bases: without this limit 16 levels of two would be read 65,536 times.
MAX_FILES = 64


@dataclass(frozen=True)
class Layer:
    """Values to merge, and where they come from."""

    source: str
    values: dict[str, Any]
    lines: Lines = field(default_factory=dict)

    def at(self, path: tuple[str, ...]) -> str:
        """Return the place where the key at `path` was written: the source, with its line if that is known."""
        return f"{self.source}:{self.lines[path]}" if path in self.lines else self.source


def load_layers(path: str | os.PathLike[str]) -> list[Layer]:
    """Return the layers of a file and all its bases, in the order in which they are merged: the file itself is last.

    ``_BASE_`` at the top of a file is a path or a list of paths: relative to that file, or from ``~`` or ``/``.

    Raises:
        ConfigError: the files form a cycle, the chain has more than 16 files, there are more than 64 files in all, or
            `_BASE_` is not a path; and for all that `load_yaml` rejects.
        FileNotFoundError, IsADirectoryError: a file is missing; the error names the file that refers to it.
    """
    layers: list[Layer] = []
    for layer in _walk(expand(path), ()):
        layers.append(layer)
        if len(layers) > MAX_FILES:
            raise ConfigError(f"{path}: {BASE_KEY} leads to more than {MAX_FILES} files; use fewer bases")
    return layers


def _walk(file: Path, chain: tuple[Path, ...]) -> Iterator[Layer]:
    link = (*chain, file)
    if os.path.realpath(file) in map(os.path.realpath, chain):  # Path.resolve raises RuntimeError for a link to itself
        raise ConfigError(f"{BASE_KEY} runs in a circle: {_arrows(link)}; remove one of the links")
    if len(link) > MAX_CHAIN:
        raise ConfigError(f"{BASE_KEY} is more than {MAX_CHAIN} files deep: {_arrows(link)}; merge some of them")
    try:
        values, lines = read_yaml(file)
    except (FileNotFoundError, IsADirectoryError) as err:
        if not chain:
            raise
        raise type(err)(err.errno, f"{err.strerror}; {BASE_KEY} of {chain[-1]} names it", err.filename) from None
    layer = Layer(str(file), values, lines)
    for base in _bases(layer):
        yield from _walk(file.parent / expand(base), link)
    yield layer


def _bases(layer: Layer) -> list[str]:
    """Remove `_BASE_` from the layer's values, and return its paths."""
    bases = layer.values.pop(BASE_KEY, [])
    names = bases if isinstance(bases, list) else [bases]
    if not all(map(_is_path, names)):
        raise ConfigError(f"{layer.at((BASE_KEY,))}: {BASE_KEY} is a path or a list of paths; came {show(bases)}")
    return names


def _is_path(name: object) -> bool:
    try:
        return isinstance(name, str) and name != "" and b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair, such as "\ud800" in YAML
        return False


def _arrows(files: tuple[Path, ...]) -> str:
    return " -> ".join(map(str, files))
