"""Where metrics go."""

import os
from pathlib import Path

from ..events import EventWriter
from .build import build_writers as build_writers
from .console import CommonMetricPrinter as CommonMetricPrinter
from .csv_values import CSVWriter as CSVWriter
from .json_lines import JSONWriter as JSONWriter
from .new_values import NewValuesWriter as NewValuesWriter
from .tensorboard import TensorboardXWriter as TensorboardXWriter


def default_writers(output_dir: str | os.PathLike[str], max_iter: int | None = None) -> list[EventWriter]:
    """Return the writers of console, metrics.json and TensorBoard; `output_dir` is made if it is missing."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return [CommonMetricPrinter(max_iter), JSONWriter(folder / "metrics.json"), TensorboardXWriter(str(folder))]
