"""Reads a CSV file that names an image with its labels in each row."""

import csv
import io
import logging
from collections.abc import Iterator
from pathlib import Path

from steploop.config.errors import unknown

from .labelled import SPLITS, Labelled, Subsets, make_subsets

_REQUIRED, _OPTIONAL = ("path", "identity"), ("camera", "split")
_HEADER = "path,identity,camera,split"

logger = logging.getLogger(__name__)


def read_csv(file: Path) -> Subsets:
    """Return (train, query, gallery) of a CSV file (UTF-8, commas) with the columns path, identity, camera, split.

    The first line names the columns, in any order; others are ignored. A path is absolute or relative to the file's
    folder. The camera may be empty, or its column missing: unknown. The split is "train", "query", "gallery", or
    "test", which is parted into queries and gallery (`part_test`); where the column is missing or empty throughout,
    half of the identities are to test on (`split_identities`).

    Raises:
        FileNotFoundError: an image does not exist; it names the line.
        ValueError: the file is no such CSV, or has a row twice (it names the line), or `make_subsets` finds it
            incomplete.
    """
    lines: dict[Labelled, int] = {}
    for line, row in _rows(file):
        image = _labelled(row, file, line)
        if image in lines:
            raise ValueError(f"{file}, line {line}: the same as line {lines[image]}; remove one of them")
        lines[image] = line
    images = list(lines)
    without = [line for image, line in lines.items() if image.split is None]
    if without and len(without) < len(images):
        raise ValueError(
            f"{file}, line {without[0]}: no split, but other lines have one ({len(without)} of {len(images)} lack it): "
            f"write one of {', '.join(SPLITS)} in each, or in none"
        )
    missing = [(line, image.path) for image, line in lines.items() if not Path(image.path).is_file()]
    if missing:
        line, path = missing[0]
        others = f", and {len(missing) - 1} others are missing" if missing[1:] else ""
        raise FileNotFoundError(
            f"{file}, line {line}: no image {path}{others}. Paths are absolute, or relative to {file.resolve().parent}"
        )
    return make_subsets(images, str(file))


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number from 1, {column: text without blanks round it}) of each row that is not blank."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        columns = _columns(file, next(reader, []))
        for row in reader:
            if not any(value.strip() for value in row):  # spreadsheets leave ",,," behind
                continue
            if len(row) != len(columns):
                raise ValueError(
                    f"{file}, line {reader.line_num}: {len(row)} values for the {len(columns)} columns "
                    f"{', '.join(columns)}; put a value that holds a comma into double quotes"
                )
            yield reader.line_num, {column: value.strip() for column, value in zip(columns, row)}
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}") from error


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}, line {line}, is not UTF-8 ({error}): save it as 'CSV UTF-8'") from error


def _columns(file: Path, header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    lacking = [name for name in _REQUIRED if name not in columns]
    twice = sorted({name for name in (*_REQUIRED, *_OPTIONAL) if columns.count(name) > 1})
    if not lacking and not twice:
        return columns
    first = ",".join(header)
    wrong = f"no column {' and '.join(lacking)}" if lacking else f"the column {twice[0]} twice"
    hint = "; separate them by commas" if any(mark in first for mark in ";\t") else ""
    raise ValueError(
        f"{file}: {wrong} in its first line, {first!r:.200}; expected {_HEADER} (the last two may be missing){hint}"
    )


def _labelled(row: dict[str, str], file: Path, line: int) -> Labelled:
    for column in _REQUIRED:
        if not row[column]:
            raise ValueError(f"{file}, line {line}: the {column} is empty")
    split = row.get("split", "").lower() or None
    if split not in (None, *SPLITS):
        raise ValueError(f"{file}, line {line}: {unknown('split', split, SPLITS)}")
    # Joined with an absolute path, the folder falls away.
    return Labelled(str(file.parent / row["path"]), row["identity"], row.get("camera") or None, split)
