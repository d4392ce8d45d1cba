"""Looks for what is wrong with a data set before a network is trained on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from steploop.data import DatasetCatalog, files_below, read_image

from .dataset import get_dataset
from .items import ReidItem
from .labelled import Subsets
from .report import Finding, Report
from .sources import find_source, read_subsets

SUBSETS = ("train", "query", "gallery")
# An image is odd if it is that much smaller or narrower than the typical one.
_ODD_AREA, _ODD_RATIO = 16.0, 3.0

_UNREAD = (
    "pictures in the folder are not read, for their format or their place: convert them to .jpg or .png, or move them "
    "to where the layout of the data set has its images"
)

# What equal images may mean, and what to do about it.
_COPIES = {
    "leak": "images are both trained and tested on, so the figures will be too good: remove them from one side",
    "conflict": "images are labelled with several identities: keep them with the right one only",
    "copied query": "queries are also in the gallery as of another camera and find themselves: remove the copies",
    "duplicate": "images are there several times with the same label: remove the copies, unless they are meant",
}

Progress = Callable[[Sequence[str]], Iterable[str]]


def check_dataset(name: str, progress: Progress = iter) -> Report:
    """Read every label and decode every image of a data set.

    Args:
        name: as in DATASETS: a registered name, or a folder or CSV file.
        progress: wraps the sequence of the images' paths, as `tqdm` does.

    Raises:
        FileNotFoundError: there is no such data set, or a part of it is missing.
        ValueError: its labels cannot be read.
    """
    subsets = dict(zip(SUBSETS, _read(name)))
    sizes: dict[str, tuple[int, int]] = {}
    hashes: dict[str, bytes] = {}
    broken: dict[str, str] = {}
    for path in progress(list(dict.fromkeys(item.img_path for items in subsets.values() for item in items))):
        try:
            image = read_image(path)
        except (OSError, ValueError) as error:
            broken[path] = str(error)
            continue
        sizes[path] = image.size
        hashes[path] = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
    found = [
        _broken(broken),
        *_copies(subsets, hashes),
        _trained_and_tested(subsets),
        _without_match(subsets),
        _alone(subsets),
        _odd_sizes(sizes),
        _unread(name, subsets),
        _refused(name, subsets),
    ]
    findings = sorted((finding for finding in found if finding), key=lambda finding: not finding.is_problem)
    return Report(name, subsets, sizes, findings)


def _read(name: str) -> Subsets:
    source = None if name in DatasetCatalog else find_source(name)
    if source is not None:
        return read_subsets(source)
    dataset = get_dataset(name)  # its training identities are renumbered, so they can be in no other subset
    return [item._replace(pid=-1 - item.pid) for item in dataset.train], list(dataset.query), list(dataset.gallery)


def _broken(broken: dict[str, str]) -> Finding | None:
    text = "images cannot be read, and a run that draws one ends: delete or replace them"
    return _finding("broken", True, list(broken.values()), text)


def _copies(subsets: Mapping[str, Sequence[ReidItem]], hashes: dict[str, bytes]) -> list[Finding | None]:
    """Return what is wrong with images of equal pixels."""
    groups: dict[bytes, list[tuple[str, ReidItem]]] = defaultdict(list)
    for name, items in subsets.items():
        for item in items:
            if item.img_path in hashes:
                groups[hashes[item.img_path]].append((name, item))
    cases: dict[str, list[str]] = defaultdict(list)
    for group in groups.values():
        for kind in _kinds_of_copy(group):
            cases[kind].append(" = ".join(dict.fromkeys(f"{item.img_path} ({name})" for name, item in group[:3])))
    return [_finding(kind, kind != "duplicate", cases[kind], text) for kind, text in _COPIES.items()]


def _kinds_of_copy(group: Sequence[tuple[str, ReidItem]]) -> Iterator[str]:
    train = [item for name, item in group if name == "train"]
    test = [item for name, item in group if name != "train"]
    if train and test:
        yield "leak"
    for side in (train, test):
        if len({item.pid for item in side}) > 1:
            yield "conflict"
        elif side is test and len({item.camid for item in side}) > 1 and "query" in dict(group):
            yield "copied query"
        elif len(side) > 1:
            yield "duplicate"


def _trained_and_tested(subsets: Mapping[str, Sequence[ReidItem]]) -> Finding | None:
    trained, queried = ({item.pid for item in subsets[name]} for name in ("train", "query"))
    both = sorted(trained & queried)
    text = (
        "identities are trained on and searched for; re-identification is measured on others: give each "
        "identity to one side"
    )
    return _finding("identity overlap", True, [f"identity {pid}" for pid in both], text)


def _without_match(subsets: Mapping[str, Sequence[ReidItem]]) -> Finding | None:
    cameras = defaultdict(set)
    for item in subsets["gallery"]:
        cameras[item.pid].add(item.camid)
    lonely = [item.img_path for item in subsets["query"] if not cameras[item.pid] - {item.camid}]
    text = (
        f"of {len(subsets['query']):,} queries have no match, an image of the same identity by another "
        "camera in the gallery; they count in no figure: move them to the gallery, or add such images"
    )
    return _finding("query without match", True, lonely, text)


def _alone(subsets: Mapping[str, Sequence[ReidItem]]) -> Finding | None:
    counts = Counter(item.pid for item in subsets["train"])
    single = [item.img_path for item in subsets["train"] if counts[item.pid] == 1]
    text = (
        f"of {len(counts):,} identities to train on have a single image: the triplet loss has no pair to "
        "learn from; add images of them, or leave them out"
    )
    return _finding("single image", False, single, text)


def _unread(name: str, subsets: Mapping[str, Sequence[ReidItem]]) -> Finding | None:
    """Return the pictures below a folder data set that no run reads."""
    folder = Path(name).expanduser()
    if name in DatasetCatalog or not folder.is_dir():
        return None
    Image.init()
    read = {item.img_path for items in subsets.values() for item in items}
    pictures = (path for path in files_below(folder) if path.suffix.lower() in Image.EXTENSION)
    return _finding("unread", True, [str(path) for path in pictures if str(path) not in read], _UNREAD)


def _refused(name: str, subsets: Mapping[str, Sequence[ReidItem]]) -> Finding | None:
    """Return what a training says to this data set before its first step."""
    try:
        dataset = get_dataset(name)
        for subset in SUBSETS:
            if subsets[subset]:
                dataset.require(subset)
    except (ValueError, FileNotFoundError) as error:
        return Finding("refused", True, 1, f"a training refuses this data set: {error}", ())
    return None


def _odd_sizes(sizes: dict[str, tuple[int, int]]) -> Finding | None:
    if not sizes:
        return None
    table = np.array(list(sizes.values()), dtype=np.float64)
    area, ratio = table.prod(axis=1), table[:, 0] / table[:, 1]
    factors = area / np.median(area), ratio / np.median(ratio)
    odd = (np.abs(np.log(factors[0])) > np.log(_ODD_AREA)) | (np.abs(np.log(factors[1])) > np.log(_ODD_RATIO))
    examples = [f"{path}: {size[0]} x {size[1]}" for (path, size), is_odd in zip(sizes.items(), odd) if is_odd]
    width, height = np.median(table, axis=0).astype(int)
    text = (
        f"images have an odd size: {_ODD_AREA:g} times more or fewer pixels than is typical "
        f"({width} x {height}), or {_ODD_RATIO:g} times its proportions; look whether they are cut out rightly"
    )
    return _finding("odd size", False, examples, text)


def _finding(kind: str, is_problem: bool, cases: Sequence[str], text: str) -> Finding | None:
    """Return what was found, if there is a case of it; the number of cases is put before the text."""
    return Finding(kind, is_problem, len(cases), f"{len(cases):,} {text}", tuple(cases[:3])) if cases else None
