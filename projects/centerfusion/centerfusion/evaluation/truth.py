"""The true boxes of a split, and which boxes are evaluated."""

import logging
from dataclasses import dataclass, fields

import numpy as np

from ..data.classes import ATTRIBUTES, BICYCLE_RACK, CLASS_OF_CATEGORY, CLASSES
from ..data.rotations import rotation_matrix
from ..data.tables import Row, Tables
from .metrics import CLASS_RANGE
from .world_boxes import WorldBoxes

logger = logging.getLogger(__name__)
_TWO_WHEELS = [CLASSES.index(name) for name in ("bicycle", "motorcycle")]


@dataclass(frozen=True)
class Truth:
    """What a result of a split is compared with.

    Attributes:
        tokens: of the samples, in the order of their indices.
        boxes: annotated boxes of the ten classes, before any filter.
        num_points: (n,) lidar and radar points in each.
        positions: (samples, 2) of the vehicle at each sample.
        racks: {sample: rows of its bicycle racks}.
    """

    tokens: list[str]
    boxes: WorldBoxes
    num_points: np.ndarray
    positions: np.ndarray
    racks: dict[int, list[Row]]

    def evaluated_truth(self) -> WorldBoxes:
        """Return the true boxes in range, with at least one point, and not in a bicycle rack."""
        logger.info("True boxes: %d", len(self.boxes))
        kept = self._in_range(self.boxes)
        points = self.num_points[kept]
        logger.info("In range: %d; with points: %d", len(kept), np.count_nonzero(points))
        return self._outside_racks(self.boxes[kept[points > 0]])

    def evaluated_predictions(self, predicted: WorldBoxes) -> WorldBoxes:
        """Return the predictions in range and not in a bicycle rack."""
        logger.info("Predicted boxes: %d", len(predicted))
        predicted = predicted[self._in_range(predicted)]
        logger.info("In range: %d", len(predicted))
        return self._outside_racks(predicted)

    def _in_range(self, boxes: WorldBoxes) -> np.ndarray:
        offset = boxes.translation[:, :2] - self.positions[boxes.sample]
        limits = np.array([CLASS_RANGE[name] for name in CLASSES], dtype=np.float64)
        return np.flatnonzero(np.sqrt((offset**2).sum(axis=1)) < limits[boxes.label])

    def _outside_racks(self, boxes: WorldBoxes) -> WorldBoxes:
        inside = np.zeros(len(boxes), bool)
        candidates = np.flatnonzero(np.isin(boxes.label, _TWO_WHEELS))
        for sample, racks in self.racks.items():
            here = candidates[boxes.sample[candidates] == sample]
            for rack in racks:
                inside[here] |= _is_inside(boxes.translation[here], rack)
        logger.info("Not in a bicycle rack: %d", len(boxes) - np.count_nonzero(inside))
        return boxes[~inside]


def _is_inside(points: np.ndarray, rack: Row) -> np.ndarray:
    width, length, height = rack["size"]
    local = (points - np.array(rack["translation"])) @ rotation_matrix(rack["rotation"])
    return np.all(np.abs(local) <= np.array([length, width, height]) / 2, axis=1)


def read_truth(tables: Tables, split: str) -> Truth:
    """Return the true boxes of a split.

    Raises:
        ValueError: the split has no samples, an annotation has more than one attribute, or a sample has no LIDAR_TOP,
            whose pose the range is measured from.
    """
    samples = tables.split_samples(split)
    rows, points, positions = [], [], []
    racks: dict[int, list[Row]] = {}
    for i, sample in enumerate(samples):
        lidar = tables.key_frame(sample, "LIDAR_TOP")
        if lidar is None:
            raise ValueError(
                f"sample {sample['token']} has no data of LIDAR_TOP, whose pose the range is measured from"
            )
        positions.append(tables.ego_pose(lidar)[:2, 3])
        for annotation in tables.annotations(sample):
            category = tables.category_of(annotation)
            if category == BICYCLE_RACK:
                racks.setdefault(i, []).append(annotation)
            if category in CLASS_OF_CATEGORY:
                rows.append(_row(tables, annotation, category, i))
                points.append(annotation["num_lidar_pts"] + annotation["num_radar_pts"])
    tokens = [sample["token"] for sample in samples]
    return Truth(tokens, WorldBoxes.from_rows(rows), np.array(points, dtype=np.int64), np.array(positions), racks)


def _row(tables: Tables, annotation: Row, category: str, sample: int) -> Row:
    if len(annotation["attribute_tokens"]) > 1:
        raise ValueError(f"annotation {annotation['token']} has more than one attribute")
    attribute = tables.attribute_of(annotation)
    row = {
        "sample": sample,
        "translation": annotation["translation"],
        "size": annotation["size"],
        "rotation": annotation["rotation"],
        "velocity": tables.velocity_of(annotation)[:2],
        "label": CLASSES.index(CLASS_OF_CATEGORY[category]),
        "attribute": ATTRIBUTES.index(attribute),
        "score": 0.0,
        "sensor": 0,
    }
    assert row.keys() == {field.name for field in fields(WorldBoxes)}
    return row
