"""Which box of the ground truth each anchor or proposal stands for."""

from typing import NamedTuple

import torch
from torch import Tensor

from steploop.modeling.layers.boxes import pairwise_iou

from .registry import PART_REGISTRY

# The overlaps of more pairs than these, 1 GiB, are computed on the CPU.
MAX_PAIRS_ON_GPU = 2**28


class Assignment(NamedTuple):
    """What `MaxIoUAssigner` decided for n boxes.

    Attributes:
        truth: (n,) int64: -1 ignored, 0 background, i + 1 the box i of the ground truth.
        overlaps: (n,) the largest IoU with any box of the ground truth; -1 in an ignored region.
    """

    truth: Tensor
    overlaps: Tensor


@PART_REGISTRY.register()
class MaxIoUAssigner:
    """Assigns each box to the ground truth that it overlaps most.

    In this order: boxes whose best overlap is below `neg_iou_thr` become background; boxes with at least `pos_iou_thr`
    get their best ground truth; and, with `match_low_quality`, each ground truth gets the boxes that overlap it as much
    as any does, if that is at least `min_pos_iou` and more than 0 (a later ground truth wins). The others are ignored.

    Args:
        pos_iou_thr: overlap from which a box is an object.
        neg_iou_thr: overlap below which it is background; a pair (low, high) makes it so for low <= overlap < high.
        min_pos_iou: smallest overlap of the last step.
        match_low_quality: whether that step is made.
        gt_max_assign_all: give a ground truth all boxes that share its best overlap; False gives it the first.
        keep_own_best: that step only makes boxes objects, of the ground truth that they themselves overlap most
            (detectron2, torchvision).
        ignore_iof_thr: a box of which more than this share lies in an ignored region is ignored; negative: none is.
        ignore_wrt_candidates: that share is of the box's area; False: of the region's.
        gpu_assign_thr: with more ground truths than this the overlaps are computed on the CPU; negative: never, unless
            they would need more than 1 GiB.
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float | tuple[float, float],
        *,
        min_pos_iou: float = 0.0,
        match_low_quality: bool = True,
        gt_max_assign_all: bool = True,
        keep_own_best: bool = False,
        ignore_iof_thr: float = -1,
        ignore_wrt_candidates: bool = True,
        gpu_assign_thr: int = -1,
    ) -> None:
        self._positive = pos_iou_thr
        self._negative = (0.0, neg_iou_thr) if isinstance(neg_iou_thr, int | float) else tuple(neg_iou_thr)
        self._min_positive = min_pos_iou
        self._match_low_quality = match_low_quality
        self._all_of_the_best = gt_max_assign_all
        self._keep_own_best = keep_own_best
        self._ignore = ignore_iof_thr
        self._share_of_box = ignore_wrt_candidates
        self._gpu_limit = gpu_assign_thr

    def __call__(self, boxes: Tensor, truth: Tensor, ignored: Tensor | None = None) -> Assignment:
        """Assign `boxes` (n, 4), given the ground truth (k, 4) and ignored regions (m, 4)."""
        many = len(truth) * len(boxes) > MAX_PAIRS_ON_GPU or 0 <= self._gpu_limit < len(truth)
        if boxes.is_cuda and many:
            result = self(boxes.cpu(), truth.cpu(), None if ignored is None else ignored.cpu())
            return Assignment(*(value.to(boxes.device) for value in result))
        if len(truth) == 0 or len(boxes) == 0:
            return Assignment(boxes.new_zeros(len(boxes), dtype=torch.long), boxes.new_zeros(len(boxes)))
        overlaps = pairwise_iou(truth, boxes)
        if self._ignore > 0 and ignored is not None and len(ignored):
            overlaps[:, self._is_ignored(boxes, ignored)] = -1
        return self._decide(overlaps)

    def _is_ignored(self, boxes: Tensor, ignored: Tensor) -> Tensor:
        if self._share_of_box:
            shares = pairwise_iou(boxes, ignored, relative_to_first=True).max(dim=1).values
        else:
            shares = pairwise_iou(ignored, boxes, relative_to_first=True).max(dim=0).values
        return shares > self._ignore

    def _decide(self, overlaps: Tensor) -> Assignment:
        """Assign by the overlaps (k, n)."""
        best, which = overlaps.max(dim=0)
        assigned = torch.full_like(which, -1)
        assigned[(best >= self._negative[0]) & (best < self._negative[1])] = 0
        assigned = torch.where(best >= self._positive, which + 1, assigned)
        if self._match_low_quality:
            wanted = self._low_quality(overlaps)
            assigned = torch.where(wanted > 0, which + 1 if self._keep_own_best else wanted, assigned)
        return Assignment(assigned, best)

    def _low_quality(self, overlaps: Tensor) -> Tensor:
        """Return for each box (n,) the last ground truth, from 1, that takes it as its best; 0 for none."""
        best, first = overlaps.max(dim=1)
        if self._all_of_the_best:
            takes = overlaps == best[:, None]
        else:
            takes = torch.zeros_like(overlaps, dtype=torch.bool).scatter_(1, first[:, None], True)
        # A ground truth without an area overlaps nothing: without "> 0" it would take every box.
        takes &= ((best >= self._min_positive) & (best > 0))[:, None]
        number = torch.arange(1, len(overlaps) + 1, device=overlaps.device)[:, None]
        return (takes * number).max(dim=0).values
