"""From the spec of a data set to its records: COCO files, and data sets made of others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from steploop.config import Registry
from steploop.data import ClassBalancedDataset, ConcatDataset, RepeatDataset

from .coco import Record, chosen_classes, read_coco, records_of
from .pipeline import Pipeline

Spec = Mapping[str, Any]

DATASET_REGISTRY = Registry("DETECTION_DATASET")
"""Data sets, by MMDetection's names: called with their spec's arguments and `training`, they return `DetectionData`."""


class DetectionData(NamedTuple):
    """The records of a data set.

    Attributes:
        records: with the place of their pipeline.
        classes: the names of the labels.
        pipelines: specs of the steps, one list for each data set that was joined.
        files: the annotation files, in order.
    """

    records: Sequence[Record]
    classes: tuple[str, ...]
    pipelines: tuple[Sequence[Spec], ...]
    files: tuple[str, ...]

    def built_pipelines(self) -> list[Pipeline]:
        """Return the pipelines."""
        return [Pipeline(specs) for specs in self.pipelines]


def build_dataset(spec: Spec, *, training: bool) -> DetectionData:
    """Build the data set that a spec describes, such as ``data.train`` of an mm config.

    Raises:
        UnknownKeyError: a "type" that is not registered.
        AnnotationError, FileNotFoundError: what `read_coco` and `records_of` refuse.
        ValueError: joined data sets differ in their classes.
    """
    data: DetectionData = DATASET_REGISTRY.build(spec, training=training)
    return data


@DATASET_REGISTRY.register(name="CocoDataset")
def coco_dataset(
    ann_file: str | Sequence[str],
    *,
    training: bool,
    pipeline: Sequence[Spec] = (),
    img_prefix: str | Sequence[str] = "",
    data_root: str | None = None,
    classes: Sequence[str] | str | None = None,
    test_mode: bool | None = None,
    filter_empty_gt: bool = True,
    bad_boxes: str = "drop",
) -> DetectionData:
    """Return the data of one annotation file, or of several.

    `bad_boxes` is ours: "raise" refuses boxes of less than a pixel or outside of their image, "drop" leaves them out.
    """
    if not isinstance(ann_file, str):
        prefixes = [img_prefix] * len(ann_file) if isinstance(img_prefix, str) else list(img_prefix)
        common: dict[str, Any] = {
            "pipeline": pipeline,
            "data_root": data_root,
            "classes": classes,
            "test_mode": test_mode,
        }
        common |= {"filter_empty_gt": filter_empty_gt, "bad_boxes": bad_boxes}
        parts = [
            coco_dataset(file, training=training, img_prefix=prefix, **common)
            for file, prefix in zip(ann_file, prefixes, strict=True)
        ]
        return joined(parts)
    if not isinstance(img_prefix, str):
        raise ValueError(f"img_prefix is one folder where ann_file is one file; came {img_prefix!r}")
    root = Path(data_root or "")
    coco = read_coco(root / ann_file)
    names = chosen_classes(coco, classes)
    records = records_of(
        coco,
        root / img_prefix,
        names,
        training=training and not test_mode,
        filter_empty=filter_empty_gt,
        bad_boxes=bad_boxes,
    )
    return DetectionData(records, names, (tuple(pipeline),), (coco.path,))


@DATASET_REGISTRY.register(name="RepeatDataset")
def repeat_dataset(dataset: Spec, times: int, *, training: bool) -> DetectionData:
    """Return a data set several times over."""
    data = build_dataset(dataset, training=training)
    return data._replace(records=RepeatDataset(data.records, times))


@DATASET_REGISTRY.register(name="ConcatDataset")
def concat_dataset(datasets: Sequence[Spec], *, training: bool, separate_eval: bool = True) -> DetectionData:
    """Return several data sets, one after the other."""
    return joined([build_dataset(spec, training=training) for spec in datasets])


@DATASET_REGISTRY.register(name="ClassBalancedDataset")
def class_balanced_dataset(
    dataset: Spec, oversample_thr: float, *, training: bool, filter_empty_gt: bool = True
) -> DetectionData:
    """Return a data set in which images of rare classes come several times."""
    data = build_dataset(dataset, training=training)
    labels = [tuple(sorted(set(record.labels.tolist()))) or (len(data.classes),) for record in data.records]
    return data._replace(records=ClassBalancedDataset(data.records, labels, oversample_thr))


def joined(parts: Sequence[DetectionData]) -> DetectionData:
    """Return several data sets of the same classes as one."""
    classes = {part.classes for part in parts}
    if len(classes) != 1:
        raise ValueError(f"data sets that are joined must have the same classes; they have {sorted(classes)}")
    records: list[list[Record]] = []
    pipelines: list[Sequence[Spec]] = []
    for part in parts:
        first = len(pipelines)
        records.append([record._replace(pipeline=record.pipeline + first) for record in part.records])
        pipelines += part.pipelines
    files = tuple(file for part in parts for file in part.files)
    return DetectionData(ConcatDataset(*records), parts[0].classes, tuple(pipelines), files)
