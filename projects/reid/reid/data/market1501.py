"""Reads a folder in the layout of Market-1501 (Zheng et al., ICCV 2015)."""

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .items import ReidItem

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_FILE_NAME = re.compile(r"(?P<pid>-1|\d+)_c(?P<camera>[1-9]\d*)")
_PATTERN = "<identity>_c<camera>...: digits (-1 for junk), and a camera from 1, as in 0002_c1s1_000451_03.jpg"
# They become int64.
_TOO_LARGE = 2**63
_JUNK, _DISTRACTOR = -1, 0

logger = logging.getLogger(__name__)


def read_market1501(root: Path) -> tuple[list[ReidItem], list[ReidItem], list[ReidItem]]:
    """Return (train, query, gallery) of the folder, each in the order of the file names.

    Junk images (-1) are left out; distractors (0000) stay in the gallery only. Identities are as in the file names,
    cameras count from 0.

    Raises:
        FileNotFoundError: if one of the three folders is missing.
        ValueError: if one of them holds no usable image, or an image's name does not tell its identity and camera, or
            gives numbers that are no int64.
    """
    missing = [name for name in FOLDERS if not (root / name).is_dir()]
    if missing:
        raise FileNotFoundError(_explain_missing(root, missing))
    train, query, gallery = (_read_folder(root / name) for name in FOLDERS)
    return train, query, gallery


def is_market1501(root: Path) -> bool:
    """Return whether the folder is meant to have this layout: one of its folders is there, or one folder deeper."""
    names = ("bounding_box_train", "bounding_box_test")
    return any((folder / name).is_dir() for folder in (root, *root.iterdir()) for name in names)


def _read_folder(folder: Path) -> list[ReidItem]:
    keeps_distractors = folder.name == "bounding_box_test"
    items, others, left_out = [], [], 0
    for path, is_folder in _entries(folder):
        # A hidden ".jpg" is no image: macOS leaves "._0002_c1s1_000451_03.jpg" behind in archives.
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith(".") or is_folder:
            others.append(path.name)
            continue
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise ValueError(f"cannot tell identity and camera of {path}: expected a name like {_PATTERN}")
        pid, camera = int(match["pid"]), int(match["camera"])
        if max(pid, camera) >= _TOO_LARGE:
            raise ValueError(f"the identity or camera of {path} is too large: expected less than 2**63")
        if pid == _JUNK or (pid == _DISTRACTOR and not keeps_distractors):
            left_out += 1
        else:
            items.append(ReidItem(str(path), pid, camera - 1))
    if others:
        logger.info("%s: ignored %d entries that are no images: %s", folder, len(others), _shorten(others))
    if left_out:
        kinds = "junk (-1)" if keeps_distractors else "junk (-1) or distractor (0000)"
        logger.info("%s: left out %d %s images", folder, left_out, kinds)
    if not items:
        raise ValueError(
            f"{folder} holds no usable image ({len(others)} other entries, {left_out} left out): "
            f"expected files {', '.join(sorted(_SUFFIXES))} named {_PATTERN}; was the data set unpacked completely?"
        )
    return items


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Return (path, whether it is a folder) by name; scandir knows that without asking for each file."""
    with os.scandir(folder) as entries:
        return sorted((Path(entry.path), entry.is_dir()) for entry in entries)


def _explain_missing(root: Path, missing: list[str]) -> str:
    message = (
        f"{root} is not in the Market-1501 layout: {', '.join(missing)} missing; expected the folders "
        f"{', '.join(FOLDERS)} in $STEPLOOP_DATASETS/<name> (datasets/<name> if it is not set)"
    )
    subfolders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for nested in subfolders:
        if all((nested / name).is_dir() for name in FOLDERS):
            return (
                f"{message}. They are one folder deeper: move them up, or write '{root.name}/{nested.name}' in DATASETS"
            )
    return message


def _shorten(names: Iterable[str], limit: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
