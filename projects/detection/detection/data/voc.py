"""Converts Pascal VOC's XML annotations into one COCO file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .coco import AnnotationError

# An annotation of one image; a larger file is none, and its entities could be expanded for ever.
MAX_BYTES = 2**22


def voc_to_coco(
    annotation_folder: str | Path, *, names: Sequence[str] = (), classes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the annotations of a folder of VOC XML files in COCO's format.

    VOC counts pixels from 1: a box's x becomes xmin - 1, its width xmax - xmin + 1. "difficult" objects become crowds,
    which VOC's own evaluation leaves out, too.

    Args:
        annotation_folder: the folder with one XML file for each image.
        names: the files' names without ".xml", such as a line of ImageSets/Main/train.txt each; () takes all.
        classes: the categories, in their order; () takes all that occur, sorted.

    Raises:
        FileNotFoundError: there is no such folder or file.
        AnnotationError: a file is no VOC annotation; the text names it.
    """
    folder = Path(annotation_folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} of VOC annotations")
    files = [folder / f"{name}.xml" for name in names] or sorted(folder.glob("*.xml"))
    read = [_read(file) for file in files]
    found = sorted({label for _, objects in read for label, *_ in objects})
    categories = list(classes) or found
    number = {label: index for index, label in enumerate(categories, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (image, objects) in enumerate(read, start=1):
        images.append({"id": image_id, **image})
        for label, difficult, (x, y, w, h) in objects:
            if label not in number:
                continue
            entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": number[label]}
            annotations.append({**entry, "bbox": [x, y, w, h], "area": w * h, "iscrowd": int(difficult)})
    listed = [{"id": index, "name": label} for label, index in number.items()]
    return {"images": images, "annotations": annotations, "categories": listed}


def write_coco(content: dict[str, Any], path: str | Path) -> None:
    """Write annotations as a JSON file."""
    Path(path).write_text(json.dumps(content))


_Object = tuple[str, bool, tuple[float, float, float, float]]


def _read(file: Path) -> tuple[dict[str, Any], list[_Object]]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation {file}")
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise AnnotationError(f"{file}: larger than {MAX_BYTES:,} bytes, or with a DOCTYPE: no VOC annotation")
    try:
        root = ElementTree.fromstring(raw)
    except (ElementTree.ParseError, ValueError) as err:
        raise AnnotationError(f"{file} is no XML file: {err}") from None
    image = {
        "file_name": root.findtext("filename") or f"{file.stem}.jpg",
        "width": int(_number(file, root, "size/width")),
        "height": int(_number(file, root, "size/height")),
    }
    objects: list[_Object] = []
    for element in root.findall("object"):
        left, top, right, bottom = (
            _number(file, element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
        )
        label = (element.findtext("name") or "").strip()
        if not label:
            raise AnnotationError(f"{file}: an object has no name")
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        objects.append((label, difficult, (left - 1, top - 1, right - left + 1, bottom - top + 1)))
    return image, objects


def _number(file: Path, element: ElementTree.Element, path: str) -> float:
    text = element.findtext(path)
    try:
        value = float(text or "")
    except ValueError:
        raise AnnotationError(f"{file}: {path} is no number; came {text!r:.60}") from None
    if not abs(value) < 1e9:
        raise AnnotationError(f"{file}: {path} is no finite number; came {text!r:.60}")
    return value
