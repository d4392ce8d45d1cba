"""Writes a trained model as a program without this code: pixels in, unit features out."""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from steploop.engine.run.files import sync_folder

if TYPE_CHECKING:
    from .predictor import ReidPredictor

logger = logging.getLogger(__name__)

Program: TypeAlias = Callable[[Tensor], Tensor]

INPUT_TYPES = {"uint8": torch.uint8, "float32": torch.float32}
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Sizes of the batches that are compared: a program that was made for one size shows.
_BATCH_SIZES = (1, 2, 5)


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
    if file_format not in _FORMATS:
        raise ValueError(f"a format is one of {', '.join(_FORMATS)}; got {file_format!r}")
    if input_type not in INPUT_TYPES:
        raise ValueError(f"an input type is one of {', '.join(INPUT_TYPES)}; got {input_type!r}")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    write, load = _FORMATS[file_format]
    embedder = Embedder(predictor.model).eval()
    height, width = predictor.cfg.INPUT.SIZE_TEST
    # torch.export takes a size of 0 or 1 for a constant.
    example = torch.zeros(2, 3, height, width, dtype=INPUT_TYPES[input_type], device=_device(embedder))
    # The suffix stays: readers look at it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with torch.no_grad():
            write(embedder, example, temporary)
            difference = largest_difference(embedder, load(temporary), _batches(example, images))
        if not difference <= tolerance:
            raise ValueError(
                f"the exported program is not the model: their features differ by {difference:.3g}, and at most "
                f"{tolerance:.3g} is allowed. {path} was not written"
            )
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return difference


def largest_difference(model: Program, program: Program, batches: Iterator[Tensor]) -> float:
    """Return the largest difference of an entry of two programs' outputs over batches; NaN if one of them is NaN."""
    largest = torch.tensor(0.0)
    for images in batches:
        expected, got = model(images).cpu(), program(images).cpu()
        if expected.shape != got.shape:
            shapes = f"{tuple(got.shape)} where the model returns {tuple(expected.shape)}"
            raise ValueError(f"the exported program returns features {shapes}")
        largest = torch.maximum(largest, (expected - got).abs().max())  # keeps a NaN
    return float(largest)


def load_program(path: str | Path) -> Program:
    """Return what an exported file computes, by its suffix: .onnx with onnxruntime, others with `torch.export.load`.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: onnxruntime is missing.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no exported program {path}")
    return _load_onnx(Path(path)) if Path(path).suffix == ".onnx" else _load_export(Path(path))


def _write_export(embedder: Embedder, example: Tensor, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(embedder, (example,), dynamic_shapes={"images": {0: batch}}, strict=False)
    with path.open("wb") as file:
        torch.export.save(program, file)


def _load_export(path: Path) -> Program:
    program: Any = torch.export.load(path).module()
    return torch.no_grad()(lambda images: program(images))


def _write_onnx(embedder: Embedder, example: Tensor, path: Path) -> None:
    require_onnx()
    torch.onnx.export(
        embedder,
        (example,),
        path,
        dynamo=True,
        external_data=False,
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
        input_names=["images"],
        output_names=["features"],
        verbose=False,
    )
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


def _load_onnx(path: Path) -> Program:
    require_onnx()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["features"], {"images": images.numpy(force=True)})[0])


_FORMATS: dict[str, tuple[Callable[[Embedder, Tensor, Path], None], Callable[[Path], Program]]] = {
    "export": (_write_export, _load_export),
    "onnx": (_write_onnx, _load_onnx),
}


def require_onnx() -> None:
    """Raise RuntimeError naming the packages that ONNX needs and that are not installed."""
    if missing := [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]:
        raise RuntimeError(f"ONNX needs {', '.join(missing)}: pip install -e '.[onnx]'")


def _batches(example: Tensor, images: Tensor | None) -> Iterator[Tensor]:
    """Yield random images in batches of several sizes, plain black and white ones, and the given ones."""
    generator = torch.Generator().manual_seed(0)
    shape = example.shape[1:]
    for size in _BATCH_SIZES:
        yield torch.randint(256, (size, *shape), generator=generator).to(example)
    yield torch.stack([torch.zeros(shape), torch.full(shape, 255.0)]).to(example)
    if images is not None:
        for batch in images.split(8):
            yield batch.to(example)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
