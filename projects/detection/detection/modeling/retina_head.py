"""RetinaNet's head (arXiv:1708.02002): the class and the place of an object for every anchor."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steploop.modeling.backbones.fpn import ConvModule
from steploop.modeling.layers.boxes import BoxCoder, clip_boxes
from steploop.modeling.layers.nms import suppress

from .anchor_targets import TargetMaker, rows_of
from .anchors import Anchors
from .losses import FocalLoss, L1Loss, SmoothL1Loss
from .rpn_head import Maps
from .structures import Detections, Losses, Truth, View

# Before training every anchor says background with this probability, or the many would drown the few.
PRIOR = 0.01


class DetectionConfig(NamedTuple):
    """How a single-stage head's maps become detections.

    Attributes:
        score_thr: a score must be greater.
        nms_pre: so many of the best of each level are kept; 0 or less keeps all.
        nms: the suppression; see `steploop.modeling.layers.nms.suppress`.
        max_per_img: so many of the best detections of an image are kept.
        select: what `nms_pre` counts: "pairs" of an anchor and a class above `score_thr`, or "anchors" by their best
            class, with all their classes (mmdet before 2.12).
        clip_after_nms: boxes are clipped to the image after the suppression (detectron2), then empty ones dropped.
    """

    score_thr: float
    nms_pre: int
    nms: dict[str, Any]
    max_per_img: int
    select: str = "pairs"
    clip_after_nms: bool = False


class Candidates(NamedTuple):
    """What was found in one image before the suppression: boxes (n, 4) in the resized image, scores and labels (n,)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class RetinaHead(nn.Module):
    """Two towers of 3x3 convolutions, one for classes and one for boxes, shared by all levels.

    Args:
        num_classes: K, without the background.
        in_channels: of each level.
        feat_channels: of the towers.
        stacked_convs: convolutions of each tower.
        anchors: makes the anchors.
        coder: codes boxes relative to them.
        loss_cls: of the scores.
        loss_bbox: of the deltas of anchors that stand for an object.
        targets: None for a head that is not trained.
        detection: how the maps become detections.
        norm: normalisation in the towers; "" has none.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        anchors: Anchors,
        coder: BoxCoder,
        loss_cls: FocalLoss,
        loss_bbox: L1Loss | SmoothL1Loss,
        targets: TargetMaker | None,
        detection: DetectionConfig,
        norm: str = "",
    ) -> None:
        super().__init__()
        if detection.select not in ("pairs", "anchors"):
            raise ValueError(f'test_cfg.select is "pairs" or "anchors"; came {detection.select!r}')
        self.num_classes = num_classes
        widths = [in_channels, *[feat_channels] * stacked_convs]
        self.cls_convs = nn.ModuleList(ConvModule(a, b, 3, norm=norm) for a, b in zip(widths, widths[1:]))
        self.reg_convs = nn.ModuleList(ConvModule(a, b, 3, norm=norm) for a, b in zip(widths, widths[1:]))
        self.retina_cls = nn.Conv2d(widths[-1], anchors.per_cell * num_classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(widths[-1], anchors.per_cell * 4, 3, padding=1)
        self.anchors, self.detection = anchors, detection
        self._coder, self._loss_cls, self._loss_bbox, self._targets = coder, loss_cls, loss_bbox, targets
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.retina_cls.bias is not None:
            nn.init.constant_(self.retina_cls.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        """Return the maps of scores (N, A * K, H, W) and of deltas (N, A * 4, H, W)."""
        scores, deltas = [], []
        for level in levels:
            x = y = level
            for conv in self.cls_convs:
                x = conv(x).relu()
            for conv in self.reg_convs:
                y = conv(y).relu()
            scores.append(self.retina_cls(x))
            deltas.append(self.retina_reg(y))
        return scores, deltas

    def losses(self, maps: Maps, image: tuple[int, int], truth: Truth, view: View) -> Losses:
        """Return "loss_cls" and "loss_bbox" of each level, over the positive anchors of the batch."""
        if self._targets is None:
            raise ValueError("this head has no train_cfg: it cannot be trained")
        cells = [(level.shape[2], level.shape[3]) for level in maps[0]]
        targets, positives, _ = self._targets(cells, image, truth, view)
        losses: Losses = {"loss_cls": [], "loss_bbox": []}
        for scores, deltas, target in zip(*maps, targets):
            rows = rows_of(scores, self.num_classes)
            losses["loss_cls"].append(self._loss_cls(rows, target.labels, target.label_weights, positives))
            losses["loss_bbox"].append(
                self._loss_bbox(rows_of(deltas, 4), target.deltas, target.delta_weights, positives)
            )
        return losses

    def candidates(self, maps: Maps, image: tuple[int, int], view: View) -> list[Candidates]:
        """Return for each image the boxes before the suppression, in pixels of the resized image."""
        cells = [(level.shape[2], level.shape[3]) for level in maps[0]]
        grid = self.anchors.grid(cells, image)
        choose = self._best_pairs if self.detection.select == "pairs" else self._best_anchors
        results = []
        for index in range(len(view)):
            parts = []
            for scores, deltas, anchors in zip(*maps, grid):
                rows = rows_of(scores[index : index + 1], self.num_classes).float().sigmoid()
                chosen, found, labels = choose(rows)
                near = rows_of(deltas[index : index + 1], 4)[chosen].float()
                parts.append((self._coder.decode(anchors[chosen], near), found, labels))
            boxes, found, labels = (torch.cat(part) for part in zip(*parts))
            boxes = boxes if self.detection.clip_after_nms else clip_boxes(boxes, view.sizes[index])
            results.append(Candidates(boxes, found, labels))
        return results

    def detect(self, maps: Maps, image: tuple[int, int], view: View, *, rescale: bool = True) -> list[Detections]:
        """Return for each image what was found, in pixels of the original (`rescale`) or of the resized image."""
        results = []
        for index, found in enumerate(self.candidates(maps, image, view)):
            boxes = view.to_original(index, found.boxes) if rescale else found.boxes
            result = self.suppressed(boxes, found.scores, found.labels)
            if self.detection.clip_after_nms:
                height, width = view.sizes[index]
                scale = view.scales[index] if rescale else (1.0, 1.0)
                clipped = clip_boxes(result.boxes, (height / scale[1], width / scale[0]))
                large = ((clipped[:, 2:] - clipped[:, :2]) > 0).all(dim=1)
                result = Detections(clipped[large], result.scores[large], result.labels[large])
            results.append(result)
        return results

    def suppressed(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Return the best detections after the suppression within each class."""
        scores, keep = suppress(boxes, scores, labels, self.detection.nms)
        most = self.detection.max_per_img if self.detection.max_per_img >= 0 else len(keep)
        keep = keep[:most]
        return Detections(boxes[keep], scores[:most], labels[keep])

    def _best_pairs(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return anchors, scores and labels of the best pairs of scores (anchors, K)."""
        pairs = (scores.reshape(-1) > self.detection.score_thr).nonzero()[:, 0]
        found = scores.reshape(-1)[pairs]
        if 0 < self.detection.nms_pre < len(found):
            found, order = found.topk(self.detection.nms_pre)
            pairs = pairs[order]
        return pairs // self.num_classes, found, pairs % self.num_classes

    def _best_anchors(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return anchors, scores and labels of all pairs above the threshold of the best anchors."""
        anchors = torch.arange(len(scores), device=scores.device)
        if 0 < self.detection.nms_pre < len(scores):
            anchors = scores.max(dim=1).values.topk(self.detection.nms_pre).indices
        row, labels = (scores[anchors] > self.detection.score_thr).nonzero(as_tuple=True)
        return anchors[row], scores[anchors][row, labels], labels
