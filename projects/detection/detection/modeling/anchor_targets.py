"""What the anchors of a batch should say: the part that the RPN's and RetinaNet's losses share."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from steploop.modeling.layers.boxes import BoxCoder

from .anchors import Anchors, within
from .assigner import Assignment, MaxIoUAssigner
from .samplers import Sample
from .structures import Size, Truth, View


class Sampler(Protocol):
    """Chooses the boxes of an image that count; see samplers.py."""

    add_truth: bool

    def __call__(self, assignment: Assignment) -> Sample:
        """Choose from the assigned boxes."""


class AnchorTargets(NamedTuple):
    """Targets of all anchors of one level, for N images with n anchors each.

    Attributes:
        labels: (N * n,) int64; the background is the number of classes.
        label_weights: (N * n,) 0 for an anchor that does not count.
        deltas: (N * n, 4).
        delta_weights: (N * n,) 0 but for anchors that stand for an object.
    """

    labels: Tensor
    label_weights: Tensor
    deltas: Tensor
    delta_weights: Tensor


class TargetMaker:
    """Assigns and samples the anchors of each image.

    Args:
        anchors: makes the anchors.
        coder: codes boxes relative to them.
        assigner: gives each anchor its ground truth.
        sampler: chooses those that count.
        num_classes: the label of the background.
        allowed_border: pixels by which an anchor that counts may reach over the image; negative: any.
        pos_weight: weight of positives; 0 or negative is 1.
    """

    def __init__(
        self,
        anchors: Anchors,
        coder: BoxCoder,
        *,
        assigner: MaxIoUAssigner,
        sampler: Sampler,
        num_classes: int,
        allowed_border: float = -1,
        pos_weight: float = -1,
    ) -> None:
        self._anchors, self._coder = anchors, coder
        self._assigner, self._sampler = assigner, sampler
        self._num_classes, self._border = num_classes, allowed_border
        self._positive_weight = pos_weight if pos_weight > 0 else 1.0

    def __call__(
        self, cells: Sequence[Size], image: Size, truth: Truth, view: View
    ) -> tuple[list[AnchorTargets], int, int]:
        """Return the targets of each level, and the number of positives and of negatives in the batch.

        An image counts at least one of either, as in the published detectors.
        """
        grid = self._anchors.grid(cells, image)
        joined = torch.cat(grid)
        rows = [self._one(joined, cells, truth, view, index) for index in range(len(view))]
        lengths = [len(level) for level in grid]
        stacked = [torch.stack(part).split(lengths, dim=1) for part in zip(*(row[0] for row in rows))]
        levels = [AnchorTargets(*(part.flatten(0, 1) for part in level)) for level in zip(*stacked)]
        return levels, sum(max(row[1], 1) for row in rows), sum(max(row[2], 1) for row in rows)

    def _one(
        self, anchors: Tensor, cells: Sequence[Size], truth: Truth, view: View, index: int
    ) -> tuple[AnchorTargets, int, int]:
        inside = torch.cat(self._anchors.valid(cells, view.padded_sizes[index]))
        inside &= within(anchors, view.sizes[index], self._border)
        counted = inside.nonzero()[:, 0]
        boxes, gt_labels = truth.boxes[index], truth.labels[index]
        assignment = self._assigner(anchors[counted], boxes, truth.ignored[index])
        positives, negatives = self._sampler(assignment)
        which = assignment.truth[positives] - 1
        positives, negatives = counted[positives], counted[negatives]
        labels = torch.full((len(anchors),), self._num_classes, dtype=torch.long, device=anchors.device)
        label_weights, delta_weights = anchors.new_zeros(len(anchors)), anchors.new_zeros(len(anchors))
        deltas = torch.zeros_like(anchors)
        labels[positives] = gt_labels[which] if self._num_classes > 1 else 0
        label_weights[positives] = self._positive_weight
        label_weights[negatives] = 1.0
        delta_weights[positives] = 1.0
        if len(positives):
            deltas[positives] = self._coder.encode(anchors[positives], boxes[which])
        return AnchorTargets(labels, label_weights, deltas, delta_weights), len(positives), len(negatives)


def rows_of(maps: Tensor, channels: int) -> Tensor:
    """Return head maps (N, A * channels, H, W) as rows (N * H * W * A, channels), in the order of the anchors."""
    return maps.permute(0, 2, 3, 1).reshape(-1, channels)
