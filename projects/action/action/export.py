"""A recognizer as a program that needs none of this code."""

from pathlib import Path

import torch
from torch import Tensor, nn

from steploop.modeling.export import export_program, pixel_batches

from .modeling import Recognizer3D


class ClipProgram(nn.Module):
    """Maps clips (N, 3, T, H, W), RGB in 0..255, to scores (N, classes) in 0..1."""

    def __init__(self, recognizer: Recognizer3D) -> None:
        super().__init__()
        self.recognizer = recognizer

    def forward(self, clips: Tensor) -> Tensor:
        """Return the scores."""
        recognizer = self.recognizer
        normal = (clips.to(torch.float32) - recognizer.pixel_mean) / recognizer.pixel_std
        return recognizer.logits(normal).softmax(dim=1)


def export_recognizer(
    recognizer: Recognizer3D,
    path: str | Path,
    *,
    size: tuple[int, int, int],
    file_format: str = "export",
    tolerance: float = 1e-5,
) -> float:
    """Write a recognizer, read it again, and compare; return the largest difference of a score.

    Args:
        recognizer: in eval mode, on the CPU.
        path: the file to write, .pt2 or .onnx.
        size: (frames, height, width) of the clips that it takes.
        file_format: "export" (for `torch.export.load`) or "onnx".
        tolerance: the largest difference of a score.

    Raises:
        ValueError: the program differs by more, or the format is unknown.
        RuntimeError: packages for ONNX are missing.
    """
    example = torch.zeros(2, 3, *size)
    return export_program(
        ClipProgram(recognizer).eval(),
        example,
        path,
        file_format=file_format,
        names=("clips", "scores"),
        batches=pixel_batches(example),
        tolerance=tolerance,
    )
