"""Counts what a network can learn from a converted data set, and finds what is wrong with it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from . import geometry
from .classes import CLASSES
from .mapper import SampleOptions
from .pillars import draw_pillars, points_in_view
from .radar import X, Z
from .records import Record, read_radar_points
from .targets import associate_true_boxes, boxes_in_view, make_targets
from .view import View

# What each column counts: boxes whose mask of that target is not zero.
_MASKS = {"center": "mask", "rotation": "rot_mask", "velocity": "velocity_mask", "attribute": "nuscenes_att_mask"}
_COLUMNS = ("boxes", *_MASKS, "with radar", "radar points")


@dataclass
class Report:
    """What was found.

    Attributes:
        counts: {class: {column: number}}.
        num_images: images.
        num_empty: images without boxes.
        problems: what must be mended.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in CLASSES})
    num_images: int = 0
    num_empty: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there is no problem."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        counts = {name: {column: found[column] for column in _COLUMNS} for name, found in self.counts.items()}
        return {
            "images": self.num_images,
            "images without boxes": self.num_empty,
            "classes": counts,
            "problems": self.problems,
        }

    def as_text(self) -> str:
        """Return a table and the problems."""
        rows = []
        for name, found in self.counts.items():
            points = found["radar points"] / found["boxes"] if found["boxes"] else 0.0
            rows.append([name, *(found[column] for column in _COLUMNS[:-1]), f"{points:.2f}"])
        headers = ["class", *_COLUMNS[:-1], "points per box"]
        lines = [
            f"{self.num_images} images, {self.num_empty} of them without boxes",
            tabulate(rows, headers=headers, tablefmt="simple_outline"),
            *(f"PROBLEM: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


def check_records(
    records: Sequence[Record],
    options: SampleOptions,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Report:
    """Return what a data set holds for the network's input of `options`, without augmentation.

    Args:
        records: of the images.
        options: what a sample consists of.
        progress: wraps the records, such as tqdm.
    """
    report = Report(num_images=len(records))
    missing = []
    for record in progress(records):
        if not Path(record["file"]).is_file():
            missing.append(record["file"])
        report.num_empty += not len(record["boxes"]["category"])
        _count(record, options, report)
    if missing:
        report.problems.append(f"{len(missing)} images are missing, such as {missing[0]}: copy samples/ completely")
    total = sum(report.counts.values(), Counter())
    if not total["center"]:
        report.problems.append("no box passes the masks: the network would learn only where nothing is")
    elif not total["with radar"] and not options.empty_radar:
        report.problems.append("no box has radar: are the radar files those of the images?")
    return report


def _count(record: Record, options: SampleOptions, report: Report) -> None:
    size = options.map_size
    view, boxes = View.whole(record["width"], record["height"]), record["boxes"]
    viewed = boxes_in_view(boxes, view, size)
    targets = make_targets(boxes, viewed, view, size, options.targets)
    points = read_radar_points(record)
    visible = points_in_view(points, record["calib"], view, size, options.pillars)
    radar = draw_pillars(visible, record["calib"], view, size, options.pillars)
    count = options.targets.max_objects
    for i, category in enumerate(boxes["category"].astype(int)):
        found = report.counts[CLASSES[category - 1]]
        found["boxes"] += 1
        found["radar points"] += int(points_inside(boxes, i, points))
        if i >= count:
            continue
        for column, mask in _MASKS.items():
            found[column] += bool(targets[mask][i].any())
        one = {name: value[i : i + 1] for name, value in boxes.items()}
        alone = boxes_in_view(one, view, size)
        painted = associate_true_boxes(radar, one, alone, record["calib"], options.frustums, count)
        found["with radar"] += bool(painted.any())


def points_inside(boxes: dict[str, np.ndarray], i: int, points: np.ndarray, margin: float = 0.5) -> int:
    """Return how many radar points lie in a box seen from above, or up to `margin` metres beside it."""
    corners = geometry.box_corners(boxes["dim"][i], boxes["location"][i], boxes["rotation_y"][i])[:4, [0, 2]]
    center = corners.mean(axis=0)
    offset = points[[X, Z]].T - center
    along, across = corners[0] - corners[3], corners[0] - corners[1]
    inside = np.ones(len(offset), bool)
    for side in (along, across):
        length = np.linalg.norm(side)
        inside &= np.abs(offset @ side / length) <= length / 2 + margin
    return int(np.count_nonzero(inside))
