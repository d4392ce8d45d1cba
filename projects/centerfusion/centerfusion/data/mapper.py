"""From the record of an image to a sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from steploop.data import read_image

from ..modeling.association import Frustums
from .images import cut, jitter_colours, normalise
from .pillars import PillarOptions, draw_pillars, points_in_view
from .records import Record, read_radar_points
from .targets import TargetOptions, associate_true_boxes, boxes_in_view, make_targets
from .view import Augmentation, View

STRIDE = 4


@dataclass(frozen=True)
class SampleOptions:
    """What a sample consists of.

    Attributes:
        size: (width, height) of the network's input.
        mean: of the pixels, BGR.
        std: of the pixels, BGR.
        augmentation: of training samples.
        colours: draw the colours of training samples.
        targets: how targets are made.
        pillars: how radar maps are made.
        frustums: how radar is associated with the true boxes.
        empty_radar: give empty radar maps.
    """

    size: tuple[int, int]
    mean: Sequence[float]
    std: Sequence[float]
    augmentation: Augmentation = field(default_factory=Augmentation)
    colours: bool = True
    targets: TargetOptions = field(default_factory=TargetOptions)
    pillars: PillarOptions = field(default_factory=PillarOptions)
    frustums: Frustums = field(default_factory=Frustums)
    empty_radar: bool = False

    @property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of the output maps."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE


class SampleMapper:
    """Makes samples: "image" (3, H, W), "pc_dep" (3, H / 4, W / 4), "calib" (3, 4), "index", and targets.

    Args:
        options: what a sample consists of.
        purpose: "train" augments, and gives targets and "pc_hm", radar associated with the true boxes; "losses" gives
            targets; "test" gives none.
    """

    def __init__(self, options: SampleOptions, purpose: str) -> None:
        assert purpose in ("train", "losses", "test")
        self.options = options
        self.purpose = purpose

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        """Return the sample of a record."""
        options, is_training = self.options, self.purpose == "train"
        width, height = record["width"], record["height"]
        how = options.augmentation
        view = View.draw(width, height, how, rng) if is_training else View.whole(width, height)
        picture = read_image(record["file"])
        if picture.size != (width, height):
            raise ValueError(f"{record['file']} has {picture.size} pixels, and its tables say {(width, height)}")
        pixels = cut(picture, view, options.size)
        if is_training and options.colours:
            pixels = jitter_colours(pixels, rng)
        radar = self._radar(record, view)
        sample = {
            "image": normalise(pixels, options.mean, options.std),
            "pc_dep": radar,
            "calib": record["calib"].astype(np.float32),
        }
        if self.purpose != "test":
            viewed = boxes_in_view(record["boxes"], view, options.map_size)
            sample |= make_targets(record["boxes"], viewed, view, options.map_size, options.targets)
            if is_training:
                count = options.targets.max_objects
                sample["pc_hm"] = associate_true_boxes(
                    radar, record["boxes"], viewed, record["calib"], options.frustums, count
                )
        return {name: torch.from_numpy(value) for name, value in sample.items()} | {"index": record["index"]}

    def _radar(self, record: Record, view: View) -> np.ndarray:
        options = self.options
        if options.empty_radar:
            return np.zeros((3, options.map_size[1], options.map_size[0]), np.float32)
        points = read_radar_points(record)
        visible = points_in_view(points, record["calib"], view, options.map_size, options.pillars)
        return draw_pillars(visible, record["calib"], view, options.map_size, options.pillars)
