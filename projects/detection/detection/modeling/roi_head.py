"""The second stage: samples proposals, pools their features and classifies them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steploop.modeling.layers.nms import multiclass_nms

from .anchor_targets import Sampler
from .assigner import Assignment, MaxIoUAssigner
from .bbox_head import BBoxHead
from .roi_extractor import RoIExtractor
from .structures import Detections, Truth, View


class RoIDetectionConfig(NamedTuple):
    """How classified proposals become detections.

    Attributes:
        score_thr: a score must be greater.
        nms: the suppression; see `steploop.modeling.layers.nms.suppress`.
        max_per_img: so many of the best detections of an image are kept.
        min_bbox_size: sides must be longer, in pixels; a negative number drops none.
    """

    score_thr: float
    nms: dict[str, Any]
    max_per_img: int
    min_bbox_size: float = -1


class RoISample(NamedTuple):
    """The proposals of one image that are trained on: boxes (R, 4), labels (R,) and deltas (R, 4), objects first."""

    boxes: Tensor
    labels: Tensor
    deltas: Tensor


class StandardRoIHead(nn.Module):
    """Faster R-CNN's second stage.

    Args:
        bbox_roi_extractor: pools features.
        bbox_head: classifies them.
        assigner: gives each proposal its ground truth; None for a head that is not trained.
        sampler: chooses those that are trained on.
        detection: how the result becomes detections.
    """

    def __init__(
        self,
        bbox_roi_extractor: RoIExtractor,
        bbox_head: BBoxHead,
        *,
        assigner: MaxIoUAssigner | None,
        sampler: Sampler | None,
        detection: RoIDetectionConfig,
    ) -> None:
        super().__init__()
        self.bbox_roi_extractor, self.bbox_head = bbox_roi_extractor, bbox_head
        self._assigner, self._sampler, self.detection = assigner, sampler, detection

    def losses(self, levels: Sequence[Tensor], proposals: Sequence[Tensor], truth: Truth) -> dict[str, Tensor]:
        """Return "loss_cls", "loss_bbox" and "acc"; `proposals` (m, 5) of each image get no gradient."""
        samples = [self._sample(rows[:, :4].detach(), truth, index) for index, rows in enumerate(proposals)]
        scores, deltas = self._classify(levels, [sample.boxes for sample in samples])
        labels = torch.cat([sample.labels for sample in samples])
        return self.bbox_head.losses(scores, deltas, labels, torch.cat([sample.deltas for sample in samples]))

    def detect(
        self, levels: Sequence[Tensor], proposals: Sequence[Tensor], view: View, *, rescale: bool = True
    ) -> list[Detections]:
        """Return for each image what was found, in pixels of the original (`rescale`) or of the resized image."""
        boxes = [rows[:, :4] for rows in proposals]
        results = []
        for index, (decoded, scores) in enumerate(self._decode(levels, boxes, view)):
            decoded = view.to_original(index, decoded) if rescale else decoded
            results.append(self._suppressed(decoded, scores))
        return results

    def detect_views(
        self, levels: Sequence[Sequence[Tensor]], proposals: Sequence[Tensor], views: Sequence[View]
    ) -> list[Detections]:
        """Return for each image what was found in all its views; `proposals` (m, 5) are in pixels of the original.

        Boxes and probabilities are averaged over the views before the suppression.
        """
        parts = []
        for features, view in zip(levels, views):
            boxes = [view.from_original(index, rows[:, :4]) for index, rows in enumerate(proposals)]
            decoded = self._decode(features, boxes, view)
            parts.append([(view.to_original(index, box), scores) for index, (box, scores) in enumerate(decoded)])
        return [self._suppressed(*(torch.stack(part).mean(dim=0) for part in zip(*image))) for image in zip(*parts)]

    def _sample(self, proposals: Tensor, truth: Truth, index: int) -> RoISample:
        if self._assigner is None or self._sampler is None:
            raise ValueError("this RoI head has no train_cfg: it cannot be trained")
        boxes, labels = truth.boxes[index], truth.labels[index]
        assignment = self._assigner(proposals, boxes, truth.ignored[index])
        if self._sampler.add_truth and len(boxes):
            proposals = torch.cat((boxes, proposals))
            own = torch.arange(1, len(boxes) + 1, device=boxes.device)
            overlaps = torch.cat((torch.ones_like(boxes[:, 0]), assignment.overlaps))
            assignment = Assignment(torch.cat((own, assignment.truth)), overlaps)
        positives, negatives = self._sampler(assignment)
        which = assignment.truth[positives] - 1
        chosen = proposals[torch.cat((positives, negatives))]
        found = labels.new_full((len(chosen),), self.bbox_head.num_classes)
        deltas = chosen.new_zeros(len(chosen), 4)
        if len(positives):
            found[: len(positives)] = labels[which]
            deltas[: len(positives)] = self.bbox_head.coder.encode(chosen[: len(positives)], boxes[which])
        return RoISample(chosen, found, deltas)

    def _classify(self, levels: Sequence[Tensor], boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rois = torch.cat([torch.cat((b.new_full((len(b), 1), index), b), dim=1) for index, b in enumerate(boxes)])
        scores, deltas = self.bbox_head(self.bbox_roi_extractor(levels, rois))
        return scores, deltas

    def _decode(self, levels: Sequence[Tensor], boxes: Sequence[Tensor], view: View) -> list[tuple[Tensor, Tensor]]:
        """Return for each image the boxes (m, 4 * K), clipped to the resized image, and probabilities (m, K)."""
        scores, deltas = self._classify(levels, boxes)
        probabilities = scores.float().softmax(dim=1)[:, :-1]
        counts = [len(part) for part in boxes]
        return [
            (self.bbox_head.coder.decode(box, part.float(), view.sizes[index]), found)
            for index, (box, part, found) in enumerate(zip(boxes, deltas.split(counts), probabilities.split(counts)))
        ]

    def _suppressed(self, boxes: Tensor, scores: Tensor) -> Detections:
        smallest = self.detection.min_bbox_size
        if smallest >= 0:  # a box that is too small loses its score, so that it is below every threshold
            sides = boxes.reshape(len(boxes), boxes.shape[1] // 4, 4)
            large = ((sides[..., 2:] - sides[..., :2]) > smallest).all(dim=2)
            scores = scores.where(large, -1.0)
        found, labels = multiclass_nms(
            boxes,
            scores,
            score_threshold=self.detection.score_thr,
            nms_config=self.detection.nms,
            max_per_image=self.detection.max_per_img,
        )
        return Detections(found[:, :4], found[:, 4], labels)
