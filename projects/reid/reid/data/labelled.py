"""Images that a person has labelled by hand, and the three subsets that they make.

The reader of a folder and that of a CSV file bring identities and cameras as someone wrote them. Here they get numbers,
and what has no split yet gets one.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from .items import ReidItem

SPLITS = ("train", "query", "gallery", "test")
"""The names of the subsets; "test" is to be parted into query and gallery by `part_test`."""

logger = logging.getLogger(__name__)

Subsets = tuple[list[ReidItem], list[ReidItem], list[ReidItem]]
"""Train, query, gallery."""


class Labelled(NamedTuple):
    """An image with what was written about it.

    Attributes:
        path: the image file.
        identity: any name.
        camera: any name; None if it is unknown. An image of an unknown camera counts as one of a camera of its own.
        split: one of SPLITS; None leaves it to `split_identities`.
    """

    path: str
    identity: str
    camera: str | None = None
    split: str | None = None


def make_subsets(images: Sequence[Labelled], source: str) -> Subsets:
    """Return (train, query, gallery), with numbers for identities and cameras.

    Identities and cameras whose names are different numbers keep them (cameras are counted from 1 in names and from 0
    in items, unless one is called 0); other names are numbered from 1 in alphabetical order.

    Args:
        images: either all or none with a split.
        source: where they come from, for errors.

    Raises:
        ValueError: there are none; they cannot be split; there is test beside query or gallery, or only one of those
            two; no query at all has a match, which is an image of its identity by another camera in the gallery.
    """
    if not images:
        raise ValueError(f"{source} names no image")
    if all(image.split is None for image in images):
        images = split_identities(images, source)
    _check_splits({image.split for image in images}, source)
    images = part_test(images)
    pids = _number(image.identity for image in images)
    camids = _number_cameras(images)
    items = [ReidItem(image.path, pids[image.identity], camid) for image, camid in zip(images, camids)]
    train, query, gallery = (
        [item for item, image in zip(items, images) if image.split == split] for split in ("train", "query", "gallery")
    )
    _check_matches(query, gallery, source)
    _warn_of_single_images(train, source)
    return train, query, gallery


def split_identities(images: Sequence[Labelled], source: str) -> list[Labelled]:
    """Return the images with a split, "train" or "test": half of the identities are to test on.

    Which ones follows from a hash of their names alone, so it is the same on every machine and in every run; adding
    identities may move one from one half into the other. Identities that only one camera has seen are trained on:
    nothing could be found of them.

    Raises:
        ValueError: there are fewer than two identities, or only one camera has seen each of them.
    """
    cameras = defaultdict(set)
    for image in images:
        cameras[image.identity].add(image.path if image.camera is None else ("camera", image.camera))
    testable = sorted((name for name in cameras if len(cameras[name]) > 1), key=_hash)
    test = set(testable[: max(1, len(cameras) // 2)])
    if len(cameras) < 2 or not test:
        raise ValueError(
            f"{source} cannot be split into identities to train and to test on: it has {len(cameras)}, "
            f"{len(testable)} of them in images of two cameras; at least 2 and 1 are needed. Add images; or, if what "
            "reads as a camera in the file names is none, write a CSV file without cameras; or name the splits yourself"
        )
    logger.info(
        "%s has no splits: %d of its %d identities are tested on, %d could be",
        source,
        *map(len, (test, cameras, testable)),
    )
    return [image._replace(split="test" if image.identity in test else "train") for image in images]


def part_test(images: Sequence[Labelled]) -> list[Labelled]:
    """Return the images with "query" or "gallery" in place of "test".

    Of each identity the first image by each camera that has more of it is a query; if no camera has, the first image
    is. So every query has a match, but for identities that only one camera has seen: they are gallery.
    """
    groups: dict[str, list[Labelled]] = defaultdict(list)
    for image in images:
        if image.split == "test":
            groups[image.identity].append(image)
    queries = {image for group in groups.values() for image in _queries(sorted(group, key=lambda image: image.path))}
    return [
        image._replace(split="query" if image in queries else "gallery") if image.split == "test" else image
        for image in images
    ]


def _queries(group: Sequence[Labelled]) -> list[Labelled]:
    by_camera = defaultdict(list)
    for image in group:
        by_camera[image.path if image.camera is None else ("camera", image.camera)].append(image)
    if len(by_camera) < 2:
        return []
    return [seen[0] for seen in by_camera.values() if len(seen) > 1] or [group[0]]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _number(names: Iterable[str]) -> dict[str, int]:
    """Return a number for each name: the one that it is, where all are numbers and differ; else its place from 1."""
    order = sorted(set(names))
    if all(name.isascii() and name.isdecimal() and len(name) < 19 for name in order):  # below 2**63
        numbers = {name: int(name) for name in order}
        if len(set(numbers.values())) == len(numbers):
            return numbers
    return {name: place for place, name in enumerate(order, 1)}


def _number_cameras(images: Sequence[Labelled]) -> list[int]:
    numbers = _number(image.camera for image in images if image.camera is not None)
    first = 0 if 0 in numbers.values() else 1
    # An image that is both query and gallery keeps one camera, so that it does not find itself.
    paths = dict.fromkeys(image.path for image in images if image.camera is None)
    unknown = {path: number for number, path in enumerate(paths, max(numbers.values(), default=0) + 1)}
    return [(unknown[image.path] if image.camera is None else numbers[image.camera]) - first for image in images]


def _check_splits(splits: Set[str | None], source: str) -> None:
    tested = [split for split in ("gallery", "query") if split in splits]
    if "test" in splits and tested:
        raise ValueError(
            f"{source} has test beside {' and '.join(tested)}: test is parted into query and gallery, so call "
            "the images of all three query or gallery, or test"
        )
    if len(tested) == 1:
        present = tested[0]
        missing = "gallery" if present == "query" else "query"
        raise ValueError(
            f"{source} has {present} images, but no {missing} images: label both, or 'test' to let them be parted"
        )


def _check_matches(query: list[ReidItem], gallery: list[ReidItem], source: str) -> None:
    seen = defaultdict(set)
    for item in gallery:
        seen[item.pid].add(item.camid)
    if gallery and not any(seen[item.pid] - {item.camid} for item in query):
        raise ValueError(
            f"{source}: no image to test on has a match, an image of the same identity by another camera. If there is "
            "only one camera, leave it out of the file names or the CSV file: then each image counts as by its own"
        )


def _warn_of_single_images(train: list[ReidItem], source: str) -> None:
    counts = Counter(item.pid for item in train)
    single = sum(count == 1 for count in counts.values())
    if single:
        logger.warning("%s: %d of the %d identities to train on have a single image", source, single, len(counts))
