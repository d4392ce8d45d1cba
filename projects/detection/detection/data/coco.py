"""Reads annotations in COCO's JSON format, and refuses by name what would spoil a training."""

import json
import logging
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

MAX_BYTES = 2**31
# Training leaves out images that are smaller, as MMDetection does.
MIN_SIDE = 32
_SHOWN = 5
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


class AnnotationError(ValueError):
    """Something in an annotation file is wrong; the text names the file, the annotation and the remedy."""


class Record(NamedTuple):
    """One image with its boxes, (x1, y1, x2, y2) in pixels of the upright image.

    Attributes:
        file: path of the image.
        image_id: its id in the annotation file.
        width: in pixels.
        height: in pixels.
        boxes: (n, 4) float32.
        labels: (n,) int64, places in the list of classes.
        ignored: (m, 4) float32: crowds.
        pipeline: which pipeline of a joined data set makes samples of it.
    """

    file: str
    image_id: int | str
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.float32]
    pipeline: int = 0

    def __repr__(self) -> str:
        return f"image {self.image_id} ({self.file})"


class CocoFile(NamedTuple):
    """A checked annotation file.

    Attributes:
        path: where it is.
        images: by id, in the order of the file.
        annotations: by id of the image, each with "bbox", "category_id", "area" and "iscrowd".
        categories: id to name.
    """

    path: str
    images: dict[int | str, dict[str, Any]]
    annotations: dict[int | str, list[dict[str, Any]]]
    categories: dict[int, str]


def read_coco(path: str | Path) -> CocoFile:
    """Read an annotation file and check its structure: types, unique ids, ids that exist, finite numbers.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it is no JSON, or no COCO annotation file; the text names the entry and the remedy.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file}: was the data set unpacked, or is the path wrong?")
    if file.stat().st_size > MAX_BYTES:
        raise AnnotationError(f"{file} has more than {MAX_BYTES:,} bytes: is it an annotation file?")
    try:
        tree = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as err:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise AnnotationError(f"{file} is no JSON file ({err}): is it cut short?") from None
    if not isinstance(tree, dict):
        raise AnnotationError(f"{file} holds a {type(tree).__name__} and no dict: is it a file of results?")
    images = _by_id(file, "images", _entries(file, tree, "images"), _check_image)
    categories = _by_id(file, "categories", _entries(file, tree, "categories"), _check_category)
    _check_names(file, categories)
    annotations: dict[int | str, list[dict[str, Any]]] = {image_id: [] for image_id in images}
    seen: set[Any] = set()
    for place, entry in enumerate(_entries(file, tree, "annotations")):
        where = f"{file}: annotations[{place}] (id {_repr.repr(entry.get('id'))})"
        _check_annotation(where, entry, images, categories)
        if "id" in entry and (not isinstance(entry["id"], int | str) or entry["id"] in seen):
            raise AnnotationError(f"{where}: ids of annotations must be unique numbers; give each its own")
        seen.add(entry.get("id"))
        annotations[entry["image_id"]].append(entry)
    return CocoFile(str(file), images, annotations, {key: entry["name"] for key, entry in categories.items()})


def chosen_classes(coco: CocoFile, classes: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the names of the labels, in their order: those of `classes`, or all of the file in its order.

    Raises:
        AnnotationError: a name is not in the file, comes twice, or none is chosen; the text lists both.
    """
    if classes is None:
        return tuple(coco.categories.values())
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    known = set(coco.categories.values())
    missing = [name for name in names if name not in known]
    if missing or not names or len(set(names)) < len(names):
        raise AnnotationError(
            f"{coco.path}: classes must name categories of the file, each once. Asked for: {_listed(names)}. "
            f"Not in the file: {_listed(missing) or 'none'}. The file has: {_listed(coco.categories.values())}"
        )
    return names


def records_of(
    coco: CocoFile,
    image_folder: str | Path,
    classes: Sequence[str],
    *,
    training: bool,
    filter_empty: bool = True,
    bad_boxes: str = "raise",
    check_files: bool = True,
) -> list[Record]:
    """Return the records of a checked file.

    A category is known by its id; its label is its name's place in `classes`. Annotations of other categories are left
    out, crowds become ignored regions, and boxes are kept as they are stored.

    Args:
        coco: what `read_coco` returned.
        image_folder: the folder that the file names of the images are relative to.
        classes: names of the labels.
        training: leave out images with a side below 32 pixels, and with `filter_empty` those without a box of a chosen
            class.
        filter_empty: see there.
        bad_boxes: what to do with a box of less than 1 pixel or outside of its image: "raise", or "drop" it.
        check_files: raise now for an image file that does not exist.

    Raises:
        AnnotationError: a bad box ("raise"), or no image is left.
        FileNotFoundError: image files do not exist; the text names the first ones.
    """
    if bad_boxes not in ("raise", "drop"):
        raise ValueError(f'bad_boxes is "raise" or "drop"; came {bad_boxes!r}')
    label_of = {key: classes.index(name) for key, name in coco.categories.items() if name in classes}
    folder, left_out = Path(image_folder), Counter[str]()
    records, missing, dropped = [], [], []
    for image_id, image in coco.images.items():
        record, bad = _record(coco, image_id, image, folder, label_of)
        dropped += bad
        if training and min(record.width, record.height) < MIN_SIDE:
            left_out[f"smaller than {MIN_SIDE} pixels"] += 1
        elif training and filter_empty and not len(record.boxes):
            left_out["without a box of the chosen classes"] += 1
        else:
            records.append(record)
            if check_files and not Path(record.file).is_file():
                missing.append(record.file)
    if dropped and bad_boxes == "raise":
        more = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise AnnotationError(f'{dropped[0]}{more}. Repair them, or set bad_boxes: "drop" in the data set\'s spec')
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        raise FileNotFoundError(f"{len(missing)} images of {coco.path} do not exist, such as {shown}")
    if not records:
        raise AnnotationError(f"{coco.path}: no image is left to use of {len(coco.images)} ({_counted(left_out)})")
    counts = Counter(int(label) for record in records for label in record.labels)
    logger.info(
        "%s: %d of %d images (left out: %s); %d boxes dropped%s; boxes: %s; ignored regions: %d",
        coco.path,
        len(records),
        len(coco.images),
        _counted(left_out),
        len(dropped),
        f", the first: {dropped[0]}" if dropped else "",
        ", ".join(f"{name} {counts[label]}" for label, name in enumerate(classes)),
        sum(len(record.ignored) for record in records),
    )
    return records


def box_problem(box: Sequence[float], width: float, height: float) -> str:
    """Return what is wrong with a box (x, y, width, height) in an image of that size, or ""."""
    x, y, w, h = box
    if w < 1 or h < 1:
        return f"is {w:g} x {h:g} pixels, less than 1"
    if min(x + w, width) - max(x, 0) <= 0 or min(y + h, height) - max(y, 0) <= 0:
        return f"lies outside of its image of {width} x {height} pixels"
    return ""


def _record(
    coco: CocoFile, image_id: int | str, image: Mapping[str, Any], folder: Path, label_of: Mapping[int, int]
) -> tuple[Record, list[str]]:
    boxes, labels, ignored, bad = [], [], [], []
    for entry in coco.annotations[image_id]:
        if entry["category_id"] not in label_of or entry.get("ignore"):
            continue
        x, y, w, h = entry["bbox"]
        problem = box_problem((x, y, w, h), image["width"], image["height"])
        if not problem and entry.get("area", 1) <= 0:
            problem = f"has the area {entry['area']:g}"
        if problem:
            bad.append(
                f"{coco.path}: the box {[x, y, w, h]} (x, y, width, height) of annotation {entry.get('id')} of image "
                f"{image_id} ({image['file_name']}) {problem}"
            )
        elif entry.get("iscrowd"):
            ignored.append((x, y, x + w, y + h))
        else:
            boxes.append((x, y, x + w, y + h))
            labels.append(label_of[entry["category_id"]])
    record = Record(
        file=str(folder / image["file_name"]),
        image_id=image_id,
        width=image["width"],
        height=image["height"],
        boxes=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        labels=np.asarray(labels, dtype=np.int64),
        ignored=np.asarray(ignored, dtype=np.float32).reshape(-1, 4),
    )
    return record, bad


def _entries(file: Path, tree: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = tree.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        found = ", ".join(map(str, list(tree)[:8])) or "nothing"
        raise AnnotationError(f"{file}: expected a list of dicts under {key!r}; the file has {found:.200}")
    return entries


def _by_id(file: Path, key: str, entries: list[dict[str, Any]], check: Any) -> dict[Any, dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        where = f"{file}: {key}[{place}]"
        identity = entry.get("id")
        if isinstance(identity, bool) or not isinstance(identity, int | str):
            raise AnnotationError(f"{where} has no id that is a number; came {_repr.repr(identity)}")
        if identity in found:
            raise AnnotationError(f"{where} has the id {_repr.repr(identity)}, as one before it: ids must be unique")
        check(where, entry)
        found[identity] = entry
    return found


def _check_image(where: str, entry: Mapping[str, Any]) -> None:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or "\0" in name:
        raise AnnotationError(f"{where} has no file_name; came {_repr.repr(name)}")
    for side in ("width", "height"):
        value = entry.get(side)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**6:
            raise AnnotationError(f"{where} ({name:.80}): {side} must be a number of pixels; came {_repr.repr(value)}")


def _check_category(where: str, entry: Mapping[str, Any]) -> None:
    if not isinstance(entry["id"], int) or not isinstance(entry.get("name"), str):
        raise AnnotationError(f"{where}: a category has a number as id and a name; came {_repr.repr(entry)}")


def _check_names(file: Path, categories: Mapping[Any, Mapping[str, Any]]) -> None:
    twice = [name for name, count in Counter(c["name"] for c in categories.values()).items() if count > 1]
    if twice or not categories:
        problem = f"the name {twice[0]!r} comes twice" if twice else "there is none"
        raise AnnotationError(f"{file}: categories need names of their own; {problem}")


def _check_annotation(
    where: str, entry: Mapping[str, Any], images: Mapping[Any, Any], categories: Mapping[Any, Any]
) -> None:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        raise AnnotationError(f"{where}: bbox must be [x, y, width, height], finite numbers; came {_repr.repr(box)}")
    for key, known in (("image_id", images), ("category_id", categories)):
        value = entry.get(key)
        if isinstance(value, list | dict) or value not in known:
            kind = key.removesuffix("_id")
            raise AnnotationError(f"{where}: {key} {_repr.repr(value)} is no {kind} of the file; remove it or add it")
    if not _is_number(entry.get("area", 1)):
        raise AnnotationError(f"{where}: area must be a finite number; came {_repr.repr(entry['area'])}")
    if not isinstance(entry.get("iscrowd", 0), int):
        raise AnnotationError(f"{where}: iscrowd must be 0 or 1; came {_repr.repr(entry['iscrowd'])}")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 10**12 and math.isfinite(value)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "none"


def _listed(names: Iterable[str]) -> str:
    listed = [str(name)[:40] for name in names]
    return ", ".join(listed[:100]) + (", ..." if len(listed) > 100 else "")
