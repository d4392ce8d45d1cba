"""The two kinds of detectors: with one stage and with two."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steploop.modeling import Backbone
from steploop.modeling.backbones.fpn import FPN

from .retina_head import RetinaHead
from .roi_head import StandardRoIHead
from .rpn_head import RPNHead, merge_proposals
from .structures import Detections, truth_of, view_of


class Pixels(nn.Module):
    """Normalises images.

    Args:
        mean: of the channels, in 0..255, in the order of the network's input.
        std: standard deviation of the channels.
        to_rgb: the network's input is RGB; False: BGR, as the networks that Caffe trained want it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, to_rgb: bool = True) -> None:
        super().__init__()
        self._to_rgb = to_rgb
        # Not in checkpoints: the config says them, and published weights do not hold them.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Normalise RGB images (N, 3, H, W) in 0..255 and set what lies outside of each image's size to 0."""
        images = images.to(self.mean.device).float()
        if not self._to_rgb:
            images = images.flip(1)
        images = (images - self.mean) / self.std
        height, width = images.shape[2:]
        for index, (rows, columns) in enumerate(sizes):
            if rows < height or columns < width:
                images[index, :, rows:] = 0
                images[index, :, :, columns:] = 0
        return images


class Detector(nn.Module):
    """What both kinds share: images become the levels of a pyramid.

    A batch has "image" (N, 3, H, W), uint8 or float in 0..255, RGB, padded at the right and the bottom; and for each
    image "size" and "padded_size" (height, width) before padding and after padding it alone, "scale" (across, down)
    relative to the original and "flip". For training also, as lists: "boxes" (n, 4), "labels" (n,) and, where there
    are crowds, "ignored" (m, 4), in pixels of the resized image.

    For a test at several scales a batch has "views": a list of such batches of the same images.

    Args:
        backbone: maps normalised images to stages.
        neck: maps the stages to levels.
        pixels: normalises images.
    """

    def __init__(self, backbone: Backbone, neck: FPN, *, pixels: Pixels) -> None:
        super().__init__()
        self.backbone, self.neck, self.pixels = backbone, neck, pixels

    def forward(self, batch: Mapping[str, Any]) -> Any:
        """Return losses and metrics in train mode; in eval mode for each image its `Detections`."""
        if self.training:
            return self.losses(batch)
        if "views" in batch:
            return self.detect_views(batch["views"])
        return self.detect(batch)

    def features(self, batch: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Return the levels (N, C, ., .) of a batch, finest first."""
        images = self.pixels(batch["image"], view_of(batch).sizes)
        return self.levels(images)

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the levels of normalised images (N, 3, H, W)."""
        levels: tuple[Tensor, ...] = self.neck(tuple(self.backbone(images).values()))
        return levels

    @property
    def num_classes(self) -> int:
        """The number of classes, without the background."""
        raise NotImplementedError

    def losses(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses and the metrics of a batch, all 0-d."""
        raise NotImplementedError

    def detect(self, batch: Mapping[str, Any], *, rescale: bool = True) -> list[Detections]:
        """Return what was found in each image, in pixels of the original (`rescale`) or of the resized image."""
        raise NotImplementedError

    def detect_views(self, views: Sequence[Mapping[str, Any]]) -> list[Detections]:
        """Return what was found in each image by all its views, in pixels of the original."""
        raise NotImplementedError


class SingleStageDetector(Detector):
    """A backbone, a pyramid and one head (RetinaNet)."""

    def __init__(self, backbone: Backbone, neck: FPN, bbox_head: RetinaHead, *, pixels: Pixels) -> None:
        super().__init__(backbone, neck, pixels=pixels)
        self.bbox_head = bbox_head

    @property
    def num_classes(self) -> int:
        """The number of classes, without the background."""
        return self.bbox_head.num_classes

    def losses(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return "loss_cls" and "loss_bbox"."""
        maps = self.bbox_head(self.features(batch))
        losses = self.bbox_head.losses(maps, image_size(batch), truth_of(batch), view_of(batch))
        return {name: torch.stack(parts).sum() for name, parts in losses.items()}, {}

    def detect(self, batch: Mapping[str, Any], *, rescale: bool = True) -> list[Detections]:
        """Return what was found in each image."""
        maps = self.bbox_head(self.features(batch))
        return self.bbox_head.detect(maps, image_size(batch), view_of(batch), rescale=rescale)

    def detect_views(self, views: Sequence[Mapping[str, Any]]) -> list[Detections]:
        """Return what was found: the boxes of all views before the suppression, suppressed at once."""
        found = []
        for view in views:
            maps = self.bbox_head(self.features(view))
            candidates = self.bbox_head.candidates(maps, image_size(view), view_of(view))
            made = view_of(view)
            found.append([part._replace(boxes=made.to_original(i, part.boxes)) for i, part in enumerate(candidates)])
        return [self.bbox_head.suppressed(*(torch.cat(part) for part in zip(*image))) for image in zip(*found)]


class TwoStageDetector(Detector):
    """A backbone, a pyramid, a network that proposes boxes and a head that classifies them (Faster R-CNN)."""

    def __init__(
        self, backbone: Backbone, neck: FPN, rpn_head: RPNHead, roi_head: StandardRoIHead, *, pixels: Pixels
    ) -> None:
        super().__init__(backbone, neck, pixels=pixels)
        self.rpn_head, self.roi_head = rpn_head, roi_head

    @property
    def num_classes(self) -> int:
        """The number of classes, without the background."""
        return self.roi_head.bbox_head.num_classes

    def losses(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return "loss_rpn_cls", "loss_rpn_bbox", "loss_cls" and "loss_bbox", and the metric "acc" in percent."""
        levels, truth, view = self.features(batch), truth_of(batch), view_of(batch)
        maps = self.rpn_head(levels)
        first = self.rpn_head.losses(maps, image_size(batch), truth, view)
        proposals = self.rpn_head.proposals(maps, image_size(batch), view, self.rpn_head.train_proposals)
        second = self.roi_head.losses(levels, proposals, truth)
        metrics = {"acc": second.pop("acc")}
        return {name: torch.stack(parts).sum() for name, parts in first.items()} | second, metrics

    def detect(self, batch: Mapping[str, Any], *, rescale: bool = True) -> list[Detections]:
        """Return what was found in each image."""
        levels, view = self.features(batch), view_of(batch)
        proposals = self._propose(levels, batch)
        found = self.roi_head.detect(levels, proposals, view, rescale=rescale)
        if rescale:
            proposals = [
                torch.cat((view.to_original(i, rows[:, :4]), rows[:, 4:]), dim=1) for i, rows in enumerate(proposals)
            ]
        return [result._replace(proposals=rows) for result, rows in zip(found, proposals)]

    def detect_views(self, views: Sequence[Mapping[str, Any]]) -> list[Detections]:
        """Return what was found: proposals of all views joined; boxes and probabilities averaged over the views."""
        levels = [self.features(view) for view in views]
        made = [view_of(view) for view in views]
        proposals = [self._propose(features, view) for features, view in zip(levels, views)]
        merged = merge_proposals(proposals, made, self.rpn_head.test_proposals)
        found = self.roi_head.detect_views(levels, merged, made)
        return [result._replace(proposals=rows) for result, rows in zip(found, merged)]

    def _propose(self, levels: Sequence[Tensor], batch: Mapping[str, Any]) -> list[Tensor]:
        maps = self.rpn_head(levels)
        return self.rpn_head.proposals(maps, image_size(batch), view_of(batch), self.rpn_head.test_proposals)


def image_size(batch: Mapping[str, Any]) -> tuple[int, int]:
    """Return (height, width) of a batch's padded images."""
    return tuple(batch["image"].shape[2:])
