"""Writes a trained model as a program without this code: pixels in, unit features out."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from steploop.config.device import device_of
from steploop.engine.run.files import sync_folder
from steploop.modeling.export import INPUT_TYPES, export_program, pixel_batches

if TYPE_CHECKING:
    from .predictor import ReidPredictor


class Embedder(nn.Module):
    """What is exported: images (B, 3, H, W) in 0..255, RGB, to features (B, D) of length 1.

    Mean and deviation of the pixels are inside of the model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return unit features, float32."""
        return nn.functional.normalize(self.model({"images": images}).float())


def export(
    predictor: "ReidPredictor",
    path: str | Path,
    *,
    file_format: str = "export",
    input_type: str = "uint8",
    images: Tensor | None = None,
    tolerance: float = 1e-5,
) -> float:
    """Write the model of a predictor, read it again, and compare the two; a file that differs never appears.

    The program takes images (B, 3, H, W) of any B, in the size INPUT.SIZE_TEST, RGB in 0..255, under the name
    "images", and returns "features" (B, D), float32, of length 1.

    Args:
        predictor: whose model is exported, on its device.
        path: the file to make or replace: .pt2 or .onnx, say.
        file_format: "export" (for `torch.export.load`) or "onnx" (needs onnx, onnxscript and onnxruntime).
        input_type: "uint8" or "float32".
        images: uint8 (N, 3, H, W) to compare on, beside random ones.
        tolerance: the largest difference of an entry of the features, which are in -1..1.

    Returns:
        The largest difference.

    Raises:
        ValueError: an argument is none of the above, or the difference is larger than `tolerance`, or not a number; an
            older file of that name stays.
        RuntimeError: packages for ONNX are missing.
        FileNotFoundError: there is no folder to write into.
    """
    if input_type not in INPUT_TYPES:
        raise ValueError(f"an input type is one of {', '.join(INPUT_TYPES)}; got {input_type!r}")
    embedder = Embedder(predictor.model).eval()
    device = device_of(embedder)
    example = torch.zeros(2, 3, *predictor.cfg.INPUT.SIZE_TEST, dtype=INPUT_TYPES[input_type], device=device)
    difference = export_program(
        embedder,
        example,
        path,
        file_format=file_format,
        names=("images", "features"),
        batches=pixel_batches(example, images),
        tolerance=tolerance,
    )
    sync_folder(Path(path).parent)
    return difference
