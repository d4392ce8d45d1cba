"""What a batch says beside its pixels, and what a detector finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int]
Losses = dict[str, list[Tensor]]
"""Losses by name, one 0-d tensor for each level of the pyramid (or one for the whole)."""


@dataclass(frozen=True)
class Truth:
    """The boxes of each image of a batch, in pixels of the resized image.

    Attributes:
        boxes: for each image (n, 4) as (x1, y1, x2, y2).
        labels: for each image (n,), int64, 0 to K - 1.
        ignored: for each image (m, 4): crowds, which are neither objects nor background.
    """

    boxes: Sequence[Tensor]
    labels: Sequence[Tensor]
    ignored: Sequence[Tensor]


@dataclass(frozen=True)
class View:
    """How each image of a batch was made from its original.

    Attributes:
        sizes: for each image (height, width) in pixels before padding.
        padded_sizes: for each image (height, width) after padding it alone; the batch may be larger.
        scales: for each image (across, down): resized side over original side.
        flips: for each image whether it was mirrored left to right.
    """

    sizes: Sequence[Size]
    padded_sizes: Sequence[Size]
    scales: Sequence[tuple[float, float]]
    flips: Sequence[bool]

    def __len__(self) -> int:
        return len(self.sizes)

    def to_original(self, index: int, boxes: Tensor) -> Tensor:
        """Return boxes (n, 4 * m) of image `index` in pixels of the original."""
        if self.flips[index]:
            boxes = mirrored(boxes, self.sizes[index][1])
        return boxes / _four(boxes, self.scales[index])

    def from_original(self, index: int, boxes: Tensor) -> Tensor:
        """Return boxes (n, 4 * m) of the original in pixels of image `index`."""
        boxes = boxes * _four(boxes, self.scales[index])
        return mirrored(boxes, self.sizes[index][1]) if self.flips[index] else boxes


class Detections(NamedTuple):
    """What was found in one image, the best score first.

    Attributes:
        boxes: (n, 4) as (x1, y1, x2, y2), in pixels of the original image.
        scores: (n,) in 0..1.
        labels: (n,), int64, 0 to K - 1.
        proposals: (m, 5) of a detector with two stages: its first stage's boxes and scores; else None.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    proposals: Tensor | None = None


def truth_of(batch: Mapping[str, Any]) -> Truth:
    """Return the boxes of a batch; see `Detector`."""
    device = batch["image"].device
    boxes = [value.to(device) for value in batch["boxes"]]
    none = [value.new_zeros(0, 4) for value in boxes]
    ignored = [value.to(device) for value in batch.get("ignored", none)]
    return Truth(boxes, [value.to(device) for value in batch["labels"]], ignored)


def view_of(batch: Mapping[str, Any]) -> View:
    """Return how the images of a batch were made; what the batch does not say is taken as unchanged."""
    count = len(batch["image"])
    whole = [tuple(batch["image"].shape[2:])] * count
    sizes = _pairs(batch.get("size", whole), int)
    padded = _pairs(batch.get("padded_size", whole), int)
    scales = _pairs(batch.get("scale", [(1.0, 1.0)] * count), float)
    return View(sizes, padded, scales, [bool(flip) for flip in batch.get("flip", [False] * count)])


def mirrored(boxes: Tensor, width: float) -> Tensor:
    """Return boxes (n, 4 * m) mirrored left to right in an image of that width."""
    corners = boxes.reshape(*boxes.shape[:-1], boxes.shape[-1] // 4, 4)
    turned = torch.stack((width - corners[..., 2], corners[..., 1], width - corners[..., 0], corners[..., 3]), dim=-1)
    return turned.reshape(boxes.shape)


def _four(boxes: Tensor, scale: tuple[float, float]) -> Tensor:
    return boxes.new_tensor(scale * 2).repeat(boxes.shape[-1] // 4)


def _pairs(values: Any, kind: type) -> list[Any]:
    rows = values.tolist() if isinstance(values, Tensor) else values
    return [(kind(first), kind(second)) for first, second in rows]
