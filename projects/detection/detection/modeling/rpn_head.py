"""The region proposal network (arXiv:1506.01497): where an object may be, of whatever class."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steploop.modeling.layers.boxes import BoxCoder
from steploop.modeling.layers.nms import nms, suppress

from .anchor_targets import TargetMaker, rows_of
from .anchors import Anchors
from .losses import CrossEntropyLoss, L1Loss, SmoothL1Loss
from .structures import Losses, Truth, View

Maps = tuple[list[Tensor], list[Tensor]]
"""Scores (N, A * K, H, W) and deltas (N, A * 4, H, W) of each level."""


class ProposalConfig(NamedTuple):
    """How the maps become proposals.

    Attributes:
        nms_pre: so many of the best anchors of each level are decoded.
        max_per_img: so many of the best proposals of an image are kept.
        nms: the suppression within a level; see `steploop.modeling.layers.nms.suppress`.
        min_bbox_size: sides must be longer, in pixels; 0 drops empty boxes, and a negative number none.
    """

    nms_pre: int
    max_per_img: int
    nms: dict[str, Any]
    min_bbox_size: float = 0


class RPNHead(nn.Module):
    """A 3x3 convolution, then for each anchor a score and four deltas, with one head for all levels.

    Args:
        in_channels: of each level.
        feat_channels: of the 3x3 convolution.
        anchors: makes the anchors.
        coder: codes boxes relative to them.
        loss_cls: of the scores, with sigmoid.
        loss_bbox: of the deltas of anchors that stand for an object.
        targets: None for a head that is not trained.
        train_proposals: how proposals are made in training.
        test_proposals: how they are made otherwise.
    """

    def __init__(
        self,
        in_channels: int,
        feat_channels: int,
        *,
        anchors: Anchors,
        coder: BoxCoder,
        loss_cls: CrossEntropyLoss,
        loss_bbox: L1Loss | SmoothL1Loss,
        targets: TargetMaker | None,
        train_proposals: ProposalConfig,
        test_proposals: ProposalConfig,
    ) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(in_channels, feat_channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(feat_channels, anchors.per_cell, 1)
        self.rpn_reg = nn.Conv2d(feat_channels, anchors.per_cell * 4, 1)
        self.anchors = anchors
        self._coder, self._loss_cls, self._loss_bbox, self._targets = coder, loss_cls, loss_bbox, targets
        self.train_proposals, self.test_proposals = train_proposals, test_proposals
        for conv in (self.rpn_conv, self.rpn_cls, self.rpn_reg):
            nn.init.normal_(conv.weight, std=0.01)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        """Return the maps of scores (N, A, H, W) and of deltas (N, A * 4, H, W)."""
        hidden = [self.rpn_conv(level).relu() for level in levels]
        return [self.rpn_cls(level) for level in hidden], [self.rpn_reg(level) for level in hidden]

    def losses(self, maps: Maps, image: tuple[int, int], truth: Truth, view: View) -> Losses:
        """Return "loss_rpn_cls" and "loss_rpn_bbox" of each level, over the sampled anchors of the batch."""
        if self._targets is None:
            raise ValueError("this RPN has no train_cfg: it cannot be trained")
        cells = [(level.shape[2], level.shape[3]) for level in maps[0]]
        targets, positives, negatives = self._targets(cells, image, truth, view)
        sampled = positives + negatives
        losses: Losses = {"loss_rpn_cls": [], "loss_rpn_bbox": []}
        for scores, deltas, target in zip(*maps, targets):
            losses["loss_rpn_cls"].append(
                self._loss_cls(rows_of(scores, 1), target.labels, target.label_weights, sampled)
            )
            losses["loss_rpn_bbox"].append(
                self._loss_bbox(rows_of(deltas, 4), target.deltas, target.delta_weights, sampled)
            )
        return losses

    @torch.no_grad()
    def proposals(self, maps: Maps, image: tuple[int, int], view: View, config: ProposalConfig) -> list[Tensor]:
        """Return for each image its proposals (m, 5) as (x1, y1, x2, y2, score), the best first."""
        cells = [(level.shape[2], level.shape[3]) for level in maps[0]]
        grid = self.anchors.grid(cells, image)
        return [self._proposals_of(maps, grid, index, view, config) for index in range(len(view))]

    def _proposals_of(self, maps: Maps, grid: list[Tensor], index: int, view: View, config: ProposalConfig) -> Tensor:
        best_scores, best_deltas, best_anchors, levels = [], [], [], []
        for level, (scores, deltas, anchors) in enumerate(zip(*maps, grid)):
            found = rows_of(scores[index : index + 1], 1)[:, 0].float().sigmoid()
            found, order = found.topk(min(config.nms_pre, len(found)) if config.nms_pre > 0 else len(found))
            best_scores.append(found)
            best_deltas.append(rows_of(deltas[index : index + 1], 4)[order].float())
            best_anchors.append(anchors[order])
            levels.append(torch.full_like(order, level))
        found, level_of = torch.cat(best_scores), torch.cat(levels)
        boxes = self._coder.decode(torch.cat(best_anchors), torch.cat(best_deltas), view.sizes[index])
        if config.min_bbox_size >= 0:
            large = ((boxes[:, 2:] - boxes[:, :2]) > config.min_bbox_size).all(dim=1)
            boxes, found, level_of = boxes[large], found[large], level_of[large]
        found, keep = suppress(boxes, found, level_of, config.nms)
        return torch.cat((boxes[keep], found[:, None]), dim=1)[: config.max_per_img]


def merge_proposals(
    proposals: Sequence[Sequence[Tensor]], views: Sequence[View], config: ProposalConfig
) -> list[Tensor]:
    """Return for each image the proposals of all its views, (m, 5) in pixels of the original.

    Args:
        proposals: for each view, for each image (m, 5).
        views: how the images of each view were made.
        config: its suppression is made once more, over all views, and its number of proposals kept.
    """
    merged = []
    for index in range(len(views[0])):
        rows = torch.cat([part[index] for part in proposals])
        boxes = torch.cat([view.to_original(index, part[index][:, :4]) for view, part in zip(views, proposals)])
        keep = nms(boxes, rows[:, 4], config.nms.get("iou_threshold", 0.7))[: config.max_per_img]
        merged.append(torch.cat((boxes[keep], rows[keep, 4:]), dim=1))
    return merged
