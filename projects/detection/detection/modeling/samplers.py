"""Which of the assigned boxes a loss is computed on."""

from typing import NamedTuple

import torch
from torch import Tensor

from .assigner import Assignment
from .registry import PART_REGISTRY


class Sample(NamedTuple):
    """Chosen boxes, as ascending indices.

    Attributes:
        positives: (p,) those that stand for an object.
        negatives: (q,) those that are background.
    """

    positives: Tensor
    negatives: Tensor


@PART_REGISTRY.register()
class RandomSampler:
    """Draws positives and negatives without replacement, from torch's global generator.

    The engine seeds that generator for each step, so that the draws follow from the seed and the step.

    Args:
        num: boxes of an image that are drawn.
        pos_fraction: at most ``int(num * pos_fraction)`` of them are positives; negatives fill up.
        neg_pos_ub: at most so many negatives for each positive (counting at least one); negative: no limit.
        add_gt_as_proposals: the boxes of the ground truth are put in front of the proposals.
    """

    def __init__(
        self, num: int, pos_fraction: float, *, neg_pos_ub: float = -1, add_gt_as_proposals: bool = True
    ) -> None:
        self.num = num
        self.pos_fraction = pos_fraction
        self.neg_pos_ub = neg_pos_ub
        self.add_truth = add_gt_as_proposals

    def __call__(self, assignment: Assignment) -> Sample:
        """Draw from the boxes that are not ignored."""
        positives = _draw((assignment.truth > 0).nonzero()[:, 0], int(self.num * self.pos_fraction))
        limit = self.num - len(positives)
        if self.neg_pos_ub >= 0:
            limit = min(limit, int(self.neg_pos_ub * max(1, len(positives))))
        return Sample(positives, _draw((assignment.truth == 0).nonzero()[:, 0], limit))


@PART_REGISTRY.register()
class PseudoSampler:
    """Takes every positive and every negative (for losses that weigh the boxes themselves, as the focal loss)."""

    add_truth = False

    def __call__(self, assignment: Assignment) -> Sample:
        """Take all boxes that are not ignored."""
        return Sample((assignment.truth > 0).nonzero()[:, 0], (assignment.truth == 0).nonzero()[:, 0])


def _draw(index: Tensor, limit: int) -> Tensor:
    if len(index) <= limit:
        return index
    # Drawn on the CPU: the same indices whatever the device.
    chosen = torch.randperm(len(index))[:limit].to(index.device)
    return index[chosen].sort().values
