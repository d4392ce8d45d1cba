"""COCO's figures of detections and proposals, computed by pycocotools."""

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_DETECTIONS = (100, 300, 1000)
_AREAS = {"s": 1, "m": 2, "l": 3}


class Figures(NamedTuple):
    """The figures of one evaluation.

    Attributes:
        metrics: by name, fractions in 0..1; NaN where there is no ground truth.
        per_class: average precision of each class by name; empty for proposals.
        precision: (IoU thresholds, 101 recalls, classes), at all areas and most detections; -1 without ground truth.
        notes: what a NaN comes from, in words.
    """

    metrics: dict[str, float]
    per_class: dict[str, float]
    precision: NDArray[np.float64]
    notes: list[str]


def coco_figures(
    annotations: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    category_ids: Sequence[int],
    names: Sequence[str],
    image_ids: Sequence[Any] | None = None,
) -> Figures:
    """Return the average precision "mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m" and "mAP_l".

    As MMDetection's: AP over the IoUs .5 to .95 with at most 100 detections of an image and class, the others with at
    most 1000; s, m and l are areas below 32^2, below 96^2 and above, by the annotations' "area".

    Args:
        annotations: a COCO file's content.
        results: {"image_id", "category_id", "bbox": [x, y, width, height], "score"} of each detection.
        category_ids: of the classes that count.
        names: of these classes.
        image_ids: of the images that count; None: all.
    """
    evaluation = evaluated(annotations, results, category_ids=category_ids, image_ids=image_ids)
    precision = evaluation.eval["precision"][..., 0, -1]  # (IoUs, recalls, classes) of all areas
    thresholds = list(np.round(evaluation.params.iouThrs, 2))
    metrics = {
        "mAP": _mean(evaluation.eval["precision"][..., 0, 0]),
        "mAP_50": _mean(precision[thresholds.index(0.5)]),
        "mAP_75": _mean(precision[thresholds.index(0.75)]),
    }
    metrics |= {f"mAP_{name}": _mean(evaluation.eval["precision"][..., area, -1]) for name, area in _AREAS.items()}
    per_class = {name: _mean(precision[..., number]) for number, name in enumerate(names)}
    empty = [name for name, value in per_class.items() if math.isnan(value)]
    notes = [f"no ground truth of {', '.join(empty)}: left out of the means"] if empty else []
    words = {"s": "small", "m": "medium", "l": "large"}
    notes += [f"no {words[name]} ground truth" for name in _AREAS if math.isnan(metrics[f"mAP_{name}"])]
    return Figures(metrics, per_class, precision, notes)


def proposal_figures(
    annotations: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, image_ids: Sequence[Any] | None = None
) -> Figures:
    """Return the average recall "AR@100", "AR@300" and "AR@1000" of proposals, and AR_s, AR_m, AR_l at 1000.

    Whatever the class: see `coco_figures` for the arguments.
    """
    evaluation = evaluated(annotations, results, category_ids=None, image_ids=image_ids)
    recall = evaluation.eval["recall"]  # (IoUs, 1, areas, most detections)
    metrics = {f"AR@{most}": _mean(recall[:, :, 0, place]) for place, most in enumerate(MAX_DETECTIONS)}
    metrics |= {f"AR_{name}@1000": _mean(recall[:, :, area, -1]) for name, area in _AREAS.items()}
    return Figures(metrics, {}, evaluation.eval["precision"][..., 0, -1], [])


def evaluated(
    annotations: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    *,
    category_ids: Sequence[int] | None,
    image_ids: Sequence[Any] | None = None,
    max_detections: Sequence[int] = MAX_DETECTIONS,
    thresholds: Sequence[float] | None = None,
) -> Any:
    """Return pycocotools' COCOeval after its evaluation; `category_ids` None counts no classes.

    Raises:
        ModuleNotFoundError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError as err:
        raise ModuleNotFoundError(
            "the evaluation needs pycocotools: pip install 'steploop[detection]', or leave DATASETS.TEST empty"
        ) from err

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = _coco(COCO, annotations["annotations"], annotations)
        found = _coco(COCO, _as_annotations(results), annotations)
        evaluation = COCOeval(truth, found, "bbox")
        params = evaluation.params
        params.maxDets = list(max_detections)
        params.useCats = int(category_ids is not None)
        if category_ids is not None:
            params.catIds = list(category_ids)
        if image_ids is not None:
            params.imgIds = list(image_ids)
        if thresholds is not None:
            params.iouThrs = np.asarray(thresholds)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _coco(kind: Any, entries: Sequence[Mapping[str, Any]], annotations: Mapping[str, Any]) -> Any:
    coco = kind()
    # Copied: pycocotools writes keys of its own into the entries.
    coco.dataset = {
        "images": annotations["images"],
        "categories": annotations["categories"],
        "annotations": [dict(entry) for entry in entries],
    }
    coco.createIndex()
    return coco


def _as_annotations(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**result, "id": number, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for number, result in enumerate(results, start=1)
    ]


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not -1; NaN where nothing is."""
    counted = values[values > -1]
    return float(counted.mean()) if counted.size else math.nan
