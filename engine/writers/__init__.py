"""Where metrics go."""

import os
from pathlib import Path

from ..events import EventWriter
from .build import build_writers
from .console import CommonMetricPrinter
from .csv_values import CSVWriter
from .json_lines import JSONWriter
from .new_values import NewValuesWriter
from .tensorboard import TensorboardXWriter

__all__ = [
    "CSVWriter",
    "CommonMetricPrinter",
    "JSONWriter",
    "NewValuesWriter",
    "TensorboardXWriter",
    "build_writers",
    "default_writers",
]


def default_writers(output_dir: str | os.PathLike[str], max_iter: int | None = None) -> list[EventWriter]:
    """Return the writers of console, metrics.json and TensorBoard; `output_dir` is made if it is missing."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return [CommonMetricPrinter(max_iter), JSONWriter(folder / "metrics.json"), TensorboardXWriter(str(folder))]
