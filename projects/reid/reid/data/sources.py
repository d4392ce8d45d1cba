"""Finds a data set by its name or path, and reads it in whichever of the three layouts it has."""

import os
from pathlib import Path

from steploop.data import datasets_root

from .csv_file import read_csv
from .folder import read_folder
from .labelled import Subsets
from .market1501 import is_market1501, read_market1501


def find_source(name: str) -> Path | None:
    """Return the folder or CSV file that `name` stands for, below $STEPLOOP_DATASETS or else as a path, or None.

    Raises:
        ValueError: it is another file.
    """
    if not name:
        return None
    for path in (datasets_root() / name, Path(os.path.expanduser(name))):  # noqa: PTH111  # Path.expanduser may raise
        if path.is_dir():
            return path
        if path.is_file():
            if path.suffix.lower() != ".csv":
                raise ValueError(f"data set {name!r} is the file {path}: expected a folder or a .csv file")
            return path
    return None


def read_subsets(source: Path) -> Subsets:
    """Return (train, query, gallery) with the labels that are written in the source: identities are not renumbered.

    A file is read by `read_csv`, a folder in the Market-1501 layout by `read_market1501`, any other by `read_folder`.

    Raises:
        FileNotFoundError: something of it is missing.
        ValueError: it cannot be understood, or has nothing in it.
    """
    if not source.is_dir():
        return read_csv(source)
    return read_market1501(source) if is_market1501(source) else read_folder(source)
