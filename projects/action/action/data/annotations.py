"""Which videos there are and what they show: MMAction2's lists, JSON, a folder for each class, CSV."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from steploop.config import ConfigError
from steploop.config.errors import nearest

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")


class ClipItem(NamedTuple):
    """One video, or one folder of frames.

    Attributes:
        path: of the file or folder.
        labels: its classes, counted from 0; one of them unless the set has several for each video.
        is_folder: whether it is a folder of frames.
        template: of the frames' file names.
        first_frame: number of the first frame of a folder; -1 looks into the folder.
        num_frames: frames of a folder; 0 looks into the folder. A file's are counted.
    """

    path: str
    labels: tuple[int, ...]
    is_folder: bool = False
    template: str = "img_{:05}.jpg"
    first_frame: int = -1
    num_frames: int = 0

    @property
    def label(self) -> int:
        """The first class."""
        return self.labels[0]


class ClipSet(NamedTuple):
    """What was read.

    Attributes:
        items: the videos.
        classes: names of the labels; () where the file has none.
        source: the file or folder, for messages.
        places: the line of each item, or what stands for it.
    """

    items: list[ClipItem]
    classes: tuple[str, ...]
    source: str
    places: list[str]


def read_list(
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    frames: bool = False,
    with_offset: bool = False,
    multi_class: bool = False,
    template: str = "img_{:05}.jpg",
    start_index: int | None = None,
) -> ClipSet:
    """Read MMAction2's text list: ``video label``, ``folder frames label`` or ``folder first frames label`` in a line.

    A name may hold spaces. Empty lines are left out.

    Args:
        path: of the list; PySlowFast's train.csv, ``path label``, is read too.
        prefix: folder to which the names are relative.
        frames: whether the names are folders of frames.
        with_offset: (frames) whether the number of the first frame stands before the number of frames.
        multi_class: whether a line ends in any number of labels.
        template: (frames) of the file names.
        start_index: (frames) number of the first frame without an offset; None looks into the folder.

    Raises:
        FileNotFoundError: there is no such list.
        ConfigError: a line has too few fields or a field is no number; the message names the line.
    """
    items, places = [], []
    numbers_before = (2 if with_offset else 1) if frames else 0
    for number, line in _lines(path):
        fields = line.split()
        place = f"{path}, line {number}"
        count = _trailing_numbers(fields) if multi_class else 1 + numbers_before
        if len(fields) <= count or count <= numbers_before:
            what = ("folder " + ("first " if with_offset else "") + "frames " if frames else "video ") + "label"
            raise ConfigError(f"{place}: expected '{what}', came {line.strip()!r}")
        values = [_number(field, place) for field in fields[-count:]]
        name = _name(line, count)
        first, total = -1 if start_index is None else start_index, 0
        if frames:
            total = values[numbers_before - 1]
            first = values[0] if with_offset else first
            if total < 1:
                raise ConfigError(f"{place}: a folder of {total} frames; the number of frames is at least 1")
        labels = tuple(values[numbers_before:])
        items.append(ClipItem(_join(prefix, name), labels, frames, template, first, total))
        places.append(place)
    return _checked(ClipSet(items, (), str(path), places))


def read_json(
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    template: str = "img_{:05}.jpg",
    start_index: int | None = None,
) -> ClipSet:
    """Read a JSON list of {"filename" or "frame_dir", "label": number or list, "total_frames"}.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is no such list; the message names the entry.
    """
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}, line {error.lineno}: no JSON: {error.msg}") from error
    if not isinstance(content, list):
        raise ConfigError(f"{path}: expected a list of videos, came a {type(content).__name__}")
    items, places = [], []
    for number, entry in enumerate(content):
        place = f"{path}, entry {number}"
        name = entry.get("filename") or entry.get("frame_dir") if isinstance(entry, dict) else None
        labels = entry.get("label") if isinstance(entry, dict) else None
        labels = labels if isinstance(labels, list) else [labels]
        if not isinstance(name, str) or not labels or not all(type(label) is int for label in labels):
            raise ConfigError(
                f'{place}: expected {{"filename" or "frame_dir": ..., "label": number}}, came {entry!r:.200}'
            )
        first = -1 if start_index is None else start_index
        is_folder = "filename" not in entry
        items.append(
            ClipItem(_join(prefix, name), tuple(labels), is_folder, template, first, int(entry.get("total_frames", 0)))
        )
        places.append(place)
    return _checked(ClipSet(items, (), str(path), places))


def read_class_folders(root: str | os.PathLike[str], classes: Sequence[str] = ()) -> ClipSet:
    """Read a folder that has a folder of videos for each class; the labels follow the names' order.

    Args:
        root: of the class folders.
        classes: names of the labels; (): the folders that are there. A test set takes those of its training set.

    Raises:
        FileNotFoundError: there is no such folder.
        ConfigError: it has no videos, or a folder that is no class.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"folder of classes {root} does not exist")
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    names = tuple(classes or folders)
    if unknown := [name for name in folders if name not in names]:
        raise ConfigError(f"{root} has the folder {unknown[0]!r}, which is none of the classes {', '.join(names)}")
    items = [
        ClipItem(str(file), (names.index(name),))
        for name in folders
        for file in sorted((root / name).rglob("*"))
        if file.suffix.lower() in VIDEO_SUFFIXES
    ]
    return _checked(ClipSet(items, names, str(root), [item.path for item in items]))


def read_csv(path: str | os.PathLike[str], prefix: str = "", classes: Sequence[str] = ()) -> ClipSet:
    """Read a CSV file whose first line names its columns, among them "path" and "label".

    Labels are numbers, or names: then `classes`, or without them the names in their order, say their numbers.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: a column is missing, or a line has no label or an unknown one; the message names the line.
    """
    rows = list(csv.reader(_text(path).splitlines()))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if "path" not in header or "label" not in header:
        raise ConfigError(f"{path}, line 1: expected the columns path and label, came {', '.join(header) or 'nothing'}")
    columns = header.index("path"), header.index("label")
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if not row or not any(field.strip() for field in row):
            continue
        if len(row) <= max(columns) or not all(row[column].strip() for column in columns):
            raise ConfigError(f"{path}, line {number}: expected a path and a label, came {','.join(row)!r}")
        found.append((f"{path}, line {number}", row[columns[0]].strip(), row[columns[1]].strip()))
    if all(label.isdecimal() for _, _, label in found):
        names: tuple[str, ...] = tuple(classes)
        labels = [int(label) for _, _, label in found]
    else:
        names = tuple(classes) or tuple(sorted({label for _, _, label in found}))
        labels = [_class(label, names, place) for place, _, label in found]
    items = [ClipItem(_join(prefix, name), (label,)) for (_, name, _), label in zip(found, labels)]
    return _checked(ClipSet(items, names, str(path), [place for place, _, _ in found]))


def read_classes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of the labels from a text file, one a line; ``number name`` is read too.

    Raises:
        FileNotFoundError: there is no such file.
    """
    lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
    numbered = all(line.split()[0] == str(number) and len(line.split()) > 1 for number, line in enumerate(lines))
    return tuple(line.split(maxsplit=1)[1] if numbered else line for line in lines)


def check_labels(found: ClipSet, num_classes: int) -> None:
    """Refuse labels that the model has no class for.

    Raises:
        ConfigError: it names the first line, and says whether labels seem to count from 1.
    """
    for item, place in zip(found.items, found.places):
        wrong = [label for label in item.labels if not 0 <= label < num_classes]
        if not wrong:
            continue
        lowest = min(label for other in found.items for label in other.labels)
        highest = max(label for other in found.items for label in other.labels)
        hint = "; these count from 1, subtract 1 from each" if (lowest, highest) == (1, num_classes) else ""
        raise ConfigError(
            f"{place}: the label {wrong[0]} is none of the model's {num_classes} classes, 0 to {num_classes - 1} "
            f"(MODEL.NUM_CLASSES){hint}"
        )


def _checked(found: ClipSet) -> ClipSet:
    if not found.items:
        raise ConfigError(f"{found.source} names no video")
    return found


def _text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the list of videos {path} does not exist") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError(f"the list of videos {path} is no text file: {error}") from error


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            yield number, line


def _trailing_numbers(fields: Sequence[str]) -> int:
    count = 0
    for field in reversed(fields[1:]):
        if not field.lstrip("-").isdecimal():
            break
        count += 1
    return count


def _number(field: str, place: str) -> int:
    try:
        return int(field)
    except ValueError:
        raise ConfigError(f"{place}: expected a number, came {field!r}") from None


def _name(line: str, count: int) -> str:
    """Return the line without its last `count` fields."""
    return line.strip().rsplit(maxsplit=count)[0]


def _class(label: str, names: Sequence[str], place: str) -> int:
    if label not in names:
        close = nearest(label, names)
        raise ConfigError(f"{place}: {label!r} is no class" + (f"; did you mean {close!r}?" if close else ""))
    return names.index(label)


def _join(prefix: str, name: str) -> str:
    return str(Path(prefix) / name) if prefix else name
