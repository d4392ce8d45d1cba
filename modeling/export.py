"""Exports a model as a program that runs without this code, and compares the outputs before the file is published."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Program: TypeAlias = Callable[[Tensor], Tensor]

INPUT_TYPES = {"uint8": torch.uint8, "float32": torch.float32}
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Sizes of the compared batches: several, to detect a program that accepts only one size.
_BATCH_SIZES = (1, 2, 5)


def export_program(
    model: nn.Module,
    example: Tensor,
    path: str | Path,
    *,
    file_format: str = "export",
    names: tuple[str, str] = ("images", "output"),
    batches: Iterable[Tensor],
    tolerance: float = 1e-5,
) -> float:
    """Export a model, load the file and compare the outputs; `path` is written only if they agree.

    Args:
        model: maps one tensor (N, ...) to one tensor (N, ...), in eval mode.
        example: an input with the dtype and device of the program's inputs; N is at least 2 (torch.export treats a size
            of 0 or 1 as a constant), and the program accepts any N >= 1.
        path: the file to create or replace, such as model.pt2 or model.onnx.
        file_format: "export" (for `torch.export.load`) or "onnx" (needs onnx, onnxscript and onnxruntime).
        names: of the input and the output of an ONNX file.
        batches: inputs for the comparison, such as `pixel_batches`.
        tolerance: the largest allowed absolute difference of an output element.

    Returns:
        The largest difference.

    Raises:
        ValueError: the format is unknown, or the difference is larger than `tolerance` or NaN; an older file of that
            name is unchanged.
        RuntimeError: packages for ONNX are missing.
        FileNotFoundError: the folder of `path` does not exist.
    """
    if file_format not in _FORMATS:
        raise ValueError(f"a format is one of {', '.join(_FORMATS)}; got {file_format!r}")
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    write, load = _FORMATS[file_format]
    # The temporary file has the same suffix, because readers check it.
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with torch.no_grad():
            write(model, example, temporary, names)
            difference = largest_difference(model, load(temporary), batches)
        if not difference <= tolerance:
            raise ValueError(
                f"the exported program is not the model: their outputs differ by {difference:.3g}, and at most "
                f"{tolerance:.3g} is allowed. {path} was not written"
            )
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def largest_difference(model: Program, program: Program, batches: Iterable[Tensor]) -> float:
    """Return the largest absolute difference of an output element of two programs over batches; NaN if one is NaN."""
    largest = torch.tensor(0.0)
    for batch in batches:
        expected, got = model(batch).cpu(), program(batch).cpu()
        if expected.shape != got.shape:
            shapes = f"{tuple(got.shape)} where the model returns {tuple(expected.shape)}"
            raise ValueError(f"the exported program returns an output of shape {shapes}")
        largest = torch.maximum(largest, (expected - got).abs().max())  # keeps a NaN
    return float(largest)


def pixel_batches(example: Tensor, images: Tensor | None = None) -> Iterator[Tensor]:
    """Yield batches of pixels in 0..255: random ones of several sizes, a black and a white image, and `images`.

    Args:
        example: (N, C, H, W); the batches have its dtype, device, C, H and W.
        images: (M, C, H, W) in 0..255.
    """
    generator = torch.Generator().manual_seed(0)
    shape = example.shape[1:]
    for size in _BATCH_SIZES:
        yield torch.randint(256, (size, *shape), generator=generator).to(example)
    yield torch.stack([torch.zeros(shape), torch.full(shape, 255.0)]).to(example)
    if images is not None:
        for batch in images.split(8):
            yield batch.to(example)


def load_program(path: str | Path) -> Program:
    """Load an exported file as a function: .onnx with onnxruntime, other suffixes with `torch.export.load`.

    Raises:
        FileNotFoundError: the file does not exist.
        RuntimeError: onnxruntime is missing.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no exported program {path}")
    return _load_onnx(Path(path)) if Path(path).suffix == ".onnx" else _load_export(Path(path))


def require_onnx() -> None:
    """Raise RuntimeError naming the packages that ONNX needs and that are not installed."""
    if missing := [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]:
        raise RuntimeError(f"ONNX needs {', '.join(missing)}: pip install -e '.[onnx]'")


def _write_export(model: nn.Module, example: Tensor, path: Path, names: tuple[str, str]) -> None:
    program = torch.export.export(model, (example,), dynamic_shapes=({0: _any_batch()},), strict=False)
    with path.open("wb") as file:
        torch.export.save(program, file)


def _load_export(path: Path) -> Program:
    program: Any = torch.export.load(path).module()
    return torch.no_grad()(lambda batch: program(batch))


def _write_onnx(model: nn.Module, example: Tensor, path: Path, names: tuple[str, str]) -> None:
    require_onnx()
    torch.onnx.export(
        model,
        (example,),
        path,
        dynamo=True,
        external_data=False,
        dynamic_shapes=({0: _any_batch()},),
        input_names=[names[0]],
        output_names=[names[1]],
        verbose=False,
    )
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


def _load_onnx(path: Path) -> Program:
    require_onnx()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: torch.from_numpy(session.run(None, {name: batch.numpy(force=True)})[0])


def _any_batch() -> Any:
    return torch.export.Dim("batch", min=1)


_Write: TypeAlias = Callable[[nn.Module, Tensor, Path, tuple[str, str]], None]
_FORMATS: dict[str, tuple[_Write, Callable[[Path], Program]]] = {
    "export": (_write_export, _load_export),
    "onnx": (_write_onnx, _load_onnx),
}
