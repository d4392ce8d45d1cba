"""Boxes (x1, y1, x2, y2) in pixels: areas, overlaps, clipping, and their coding relative to other boxes.

Width is x2 - x1, without the "+ 1" of older detectors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas (...) of boxes (..., 4); a box whose corners are swapped in both axes counts as positive."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_iou(first: Tensor, second: Tensor, *, relative_to_first: bool = False) -> Tensor:
    """Return the overlap (n, k) of each of n boxes with each of k: intersection over union, at least 1e-6.

    Args:
        first: (n, 4).
        second: (k, 4).
        relative_to_first: divide by the area of the box of `first` in place of the union (mmdet's "iof").
    """
    top_left = torch.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    return _ratio(sides, box_area(first)[:, None], box_area(second)[None], relative_to_first)


def aligned_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap (n) of each of n boxes with the box of the same row."""
    sides = (torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])).clamp(min=0)
    return _ratio(sides, box_area(first), box_area(second), False)


def _ratio(sides: Tensor, first: Tensor, second: Tensor, relative_to_first: bool) -> Tensor:
    intersection = sides[..., 0] * sides[..., 1]
    whole = first.expand_as(intersection) if relative_to_first else first + second - intersection
    return intersection / whole.clamp(min=EPSILON)


def clip_boxes(boxes: Tensor, size: tuple[float, float]) -> Tensor:
    """Return boxes (n, 4 * m) clipped to 0..width and 0..height of ``size = (height, width)``."""
    height, width = size
    limits = boxes.new_tensor((width, height, width, height)).repeat(boxes.shape[-1] // 4)
    return torch.minimum(boxes.clamp(min=0), limits)


class BoxCoder:
    """Codes a box relative to another one: the shift of its centre by the other's size, and the logarithm of the scale.

    ``dx = (gx - px) / pw``, ``dw = ln(gw / pw)``, y and h alike, then ``(d - mean) / std`` (arXiv:1311.2524, appendix
    C).

    Args:
        means: of dx, dy, dw, dh.
        stds: of dx, dy, dw, dh; detectron2 and torchvision write their inverses as weights.
        max_ratio: a decoded side is at most 1 / max_ratio of the other box's side.
        bounded_below: a decoded side is also at least max_ratio of it (mmdet; detectron2 and torchvision do not).

    Raises:
        ValueError: not four means and stds, or a std that is not positive.
    """

    def __init__(
        self,
        means: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
        stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        *,
        max_ratio: float = 16 / 1000,
        bounded_below: bool = True,
    ) -> None:
        if len(means) != 4 or len(stds) != 4 or min(stds) <= 0:
            raise ValueError(f"a box coder takes four means and four positive stds; came {means} and {stds}")
        self.means, self.stds = tuple(map(float, means)), tuple(map(float, stds))
        self._bound = abs(math.log(max_ratio))
        self._bounded_below = bounded_below

    def encode(self, boxes: Tensor, targets: Tensor) -> Tensor:
        """Return the deltas (n, 4), in float32, that lead from `boxes` (n, 4) to `targets` (n, 4)."""
        boxes, targets = boxes.float(), targets.float()
        centre, size = _centre_and_size(boxes)
        target_centre, target_size = _centre_and_size(targets)
        deltas = torch.cat(((target_centre - centre) / size, (target_size / size).log()), dim=1)
        return (deltas - deltas.new_tensor(self.means)) / deltas.new_tensor(self.stds)

    def decode(self, boxes: Tensor, deltas: Tensor, size: tuple[float, float] | None = None) -> Tensor:
        """Return the boxes (n, 4 * m) that `deltas` (n, 4 * m) lead to from `boxes` (n, 4).

        Args:
            size: (height, width) to clip to; None does not clip.
        """
        count = deltas.shape[1] // 4
        deltas = deltas.reshape(-1, count, 4)
        deltas = deltas * deltas.new_tensor(self.stds) + deltas.new_tensor(self.means)
        centre, sides = _centre_and_size(boxes)
        scale = deltas[..., 2:].clamp(min=-self._bound if self._bounded_below else None, max=self._bound).exp()
        new_centre = centre[:, None] + sides[:, None] * deltas[..., :2]
        half = sides[:, None] * scale / 2
        decoded = torch.cat((new_centre - half, new_centre + half), dim=2).reshape(-1, count * 4)
        return decoded if size is None else clip_boxes(decoded, size)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
