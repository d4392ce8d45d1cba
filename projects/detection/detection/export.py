"""The dense part of a detector as a program that needs none of this code."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steploop.modeling.export import export_program, pixel_batches

from .modeling import Detector, SingleStageDetector, TwoStageDetector


class DenseOutputs(nn.Module):
    """Maps RGB pixels (N, 3, H, W) in 0..255 to rows (N, anchors, K + 4): scores in 0..1, then deltas.

    K is 1 for a Faster R-CNN, whose first stage this is. Anchors are in the order of `Anchors.grid`, level by level.
    Which boxes the deltas stand for, and the suppression, is left to the caller: `decode_rows` does it.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        if not isinstance(detector, SingleStageDetector | TwoStageDetector):
            raise TypeError(f"expected a detector with one or two stages, got {type(detector).__name__}")
        self.detector = detector
        self.head = detector.bbox_head if isinstance(detector, SingleStageDetector) else detector.rpn_head
        self.num_classes = detector.num_classes if isinstance(detector, SingleStageDetector) else 1

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows."""
        scores, deltas = self.head(self.detector.levels(self.detector.pixels(images, [])))
        rows = []
        for level_scores, level_deltas in zip(scores, deltas):
            parts = [
                part.permute(0, 2, 3, 1).reshape(part.shape[0], -1, channels)
                for part, channels in ((level_scores.sigmoid(), self.num_classes), (level_deltas, 4))
            ]
            rows.append(torch.cat(parts, dim=2))
        return torch.cat(rows, dim=1)


def export_detector(
    detector: Detector,
    path: str | Path,
    *,
    size: tuple[int, int],
    file_format: str = "export",
    tolerance: float = 1e-4,
) -> float:
    """Write the dense part of a detector, read it again, and compare; return the largest difference.

    Args:
        detector: in eval mode.
        path: the file to write, .pt2 or .onnx.
        size: (height, width) of the images that it takes, multiples of the coarsest stride.
        file_format: "export" (for `torch.export.load`) or "onnx".
        tolerance: the largest difference of an entry.

    Raises:
        ValueError: the program differs by more, or the format is unknown.
        RuntimeError: packages for ONNX are missing.
    """
    example = torch.zeros(2, 3, *size)
    batches = pixel_batches(example)
    names = ("images", "rows")
    dense: Any = DenseOutputs(detector).eval()
    return export_program(
        dense, example, path, file_format=file_format, names=names, batches=batches, tolerance=tolerance
    )


def decode_rows(detector: Detector, rows: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return boxes (N, anchors, 4), clipped to the image, and scores (N, anchors, K) of what the program returned."""
    dense = DenseOutputs(detector)
    strides = dense.head.anchors.strides
    cells = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in strides]
    anchors = torch.cat(dense.head.anchors.grid(cells, size))
    scores, deltas = rows.split((dense.num_classes, 4), dim=2)
    boxes = [dense.head._coder.decode(anchors, each, size) for each in deltas]
    return torch.stack(boxes), scores
