"""The detection metrics of nuScenes (arXiv:1903.11027, section 3.1): AP, the five errors, and NDS."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.classes import ATTRIBUTES, CLASSES
from ..data.rotations import yaw_of
from .matching import find_pairs, match
from .world_boxes import MAX_BOXES_OF_SAMPLE, WorldBoxes

# In metres from the vehicle.
CLASS_RANGE = dict.fromkeys(CLASSES, 50) | {
    "pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30
}  # fmt: skip
DISTANCES = (0.5, 1.0, 2.0, 4.0)
ERROR_DISTANCE = 2.0
ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
# Errors that a class does not have.
_UNDEFINED = {"traffic_cone": ("orient_err", "vel_err", "attr_err"), "barrier": ("vel_err", "attr_err")}
_NUM_STEPS = 101
_MIN_RECALL = _MIN_PRECISION = 0.1
_FIRST = round(100 * _MIN_RECALL) + 1
_AP_WEIGHT = 5


@dataclass(frozen=True)
class Curve:
    """What one class reaches at one distance, on the grid of recalls 0, 0.01, ..., 1.

    Attributes:
        precision: (101,), 0 beyond the highest recall.
        confidence: (101,), score at which that recall is reached; 0 beyond the highest recall.
        errors: {name: (101,)}, running means.
    """

    precision: np.ndarray
    confidence: np.ndarray
    errors: dict[str, np.ndarray]

    @property
    def average_precision(self) -> float:
        """Mean precision above 0.1 over recalls above 0.1, scaled to 0..1."""
        return float(np.maximum(self.precision[_FIRST:] - _MIN_PRECISION, 0).mean() / (1 - _MIN_PRECISION))

    def mean_error(self, name: str) -> float:
        """Mean of an error over recalls above 0.1 that are reached; 1 if none is."""
        reached = np.flatnonzero(self.confidence)
        last = reached[-1] if len(reached) else 0
        return float(self.errors[name][_FIRST : last + 1].mean()) if last >= _FIRST else 1.0


def _no_curve() -> Curve:
    return Curve(np.zeros(_NUM_STEPS), np.zeros(_NUM_STEPS), {name: np.ones(_NUM_STEPS) for name in ERRORS})


@dataclass(frozen=True)
class DetectionMetrics:
    """All figures of a result.

    Attributes:
        curves: {(class, distance): curve}.
        aps: {class: {distance: AP}}.
        errors: {class: {error: value}}; NaN where a class does not have it.
    """

    curves: dict[tuple[str, float], Curve]
    aps: dict[str, dict[float, float]]
    errors: dict[str, dict[str, float]]

    @property
    def mean_dist_aps(self) -> dict[str, float]:
        """AP of each class, the mean over the distances."""
        return {name: float(np.mean(list(values.values()))) for name, values in self.aps.items()}

    @property
    def mean_ap(self) -> float:
        """Mean AP over the classes."""
        return float(np.mean(list(self.mean_dist_aps.values())))

    @property
    def mean_errors(self) -> dict[str, float]:
        """Each error's mean over the classes that have it."""
        return {name: float(np.nanmean([values[name] for values in self.errors.values()])) for name in ERRORS}

    @property
    def scores(self) -> dict[str, float]:
        """1 - mean error, at least 0."""
        return {name: max(0.0, 1.0 - error) for name, error in self.mean_errors.items()}

    @property
    def nds(self) -> float:
        """The nuScenes detection score."""
        total = _AP_WEIGHT * self.mean_ap + sum(self.scores.values())
        return float(total / (_AP_WEIGHT + len(ERRORS)))

    def summary(self, meta: dict[str, bool], seconds: float) -> dict[str, Any]:
        """Return the content of the official metrics_summary.json."""
        return {
            "label_aps": {name: {str(d): ap for d, ap in values.items()} for name, values in self.aps.items()},
            "mean_dist_aps": self.mean_dist_aps,
            "mean_ap": self.mean_ap,
            "label_tp_errors": self.errors,
            "tp_errors": self.mean_errors,
            "tp_scores": self.scores,
            "nd_score": self.nds,
            "eval_time": seconds,
            "cfg": {
                "class_range": CLASS_RANGE,
                "dist_fcn": "center_distance",
                "dist_ths": list(DISTANCES),
                "dist_th_tp": ERROR_DISTANCE,
                "min_recall": _MIN_RECALL,
                "min_precision": _MIN_PRECISION,
                "max_boxes_per_sample": MAX_BOXES_OF_SAMPLE,
                "mean_ap_weight": _AP_WEIGHT,
            },
            "meta": meta,
        }


def compute_metrics(true: WorldBoxes, predicted: WorldBoxes) -> DetectionMetrics:
    """Return the figures of predictions; both sides are filtered already (see `truth.py`)."""
    curves = {}
    for label, name in enumerate(CLASSES):
        of_class, truths = predicted[predicted.label == label], true[true.label == label]
        # Falling scores; of equal scores the later box first, as the devkit sorts.
        of_class = of_class[np.argsort(of_class.score, kind="stable")[::-1]]
        pairs = find_pairs(of_class, truths, max(DISTANCES))
        for distance in DISTANCES:
            hits = match(pairs, len(of_class), len(truths), distance)
            with_errors = distance == ERROR_DISTANCE
            curves[name, distance] = _curve(of_class, truths, hits, name, with_errors)
    aps = {name: {d: curves[name, d].average_precision for d in DISTANCES} for name in CLASSES}
    errors = {
        name: {
            error: np.nan if error in _UNDEFINED.get(name, ()) else curves[name, ERROR_DISTANCE].mean_error(error)
            for error in ERRORS
        }
        for name in CLASSES
    }
    return DetectionMetrics(curves, aps, errors)


def _curve(predicted: WorldBoxes, true: WorldBoxes, hits: np.ndarray, name: str, with_errors: bool) -> Curve:
    is_hit = hits >= 0
    if not len(true) or not is_hit.any():
        return _no_curve()
    num_hits = np.cumsum(is_hit)
    precision, recall = num_hits / np.arange(1, len(hits) + 1), num_hits / len(true)
    grid = np.linspace(0, 1, _NUM_STEPS)
    confidence = np.interp(grid, recall, predicted.score, right=0)
    errors = {}
    if with_errors:
        scores = predicted.score[is_hit]
        for error, values in box_errors(predicted[is_hit], true[hits[is_hit]], name).items():
            means = running_mean(values)
            errors[error] = np.interp(confidence[::-1], scores[::-1], means[::-1])[::-1]
    return Curve(np.interp(grid, recall, precision, right=0), confidence, errors)


def box_errors(predicted: WorldBoxes, true: WorldBoxes, name: str) -> dict[str, np.ndarray]:
    """Return the five errors of n pairs of boxes of one class; NaN where the truth is unknown."""
    overlap = np.minimum(predicted.size, true.size).prod(axis=1)
    union = predicted.size.prod(axis=1) + true.size.prod(axis=1) - overlap
    period = np.pi if name == "barrier" else 2 * np.pi
    turn = (yaw_of(true.rotation) - yaw_of(predicted.rotation) + period / 2) % period - period / 2
    unknown = true.attribute == ATTRIBUTES.index("")
    return {
        "trans_err": np.sqrt(((predicted.translation - true.translation)[:, :2] ** 2).sum(axis=1)),
        "scale_err": 1 - overlap / union,
        "orient_err": np.abs(turn),
        "vel_err": np.sqrt(((predicted.velocity - true.velocity) ** 2).sum(axis=1)),
        "attr_err": np.where(unknown, np.nan, predicted.attribute != true.attribute),
    }


def running_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of all values so far that are not NaN; 0 before the first of them, 1 where all are NaN."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    sums, counts = np.cumsum(np.where(known, values, 0)), np.cumsum(known)
    return np.divide(sums, counts, out=np.zeros(len(values)), where=counts > 0)
