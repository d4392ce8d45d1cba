"""Where metrics go."""

import os
from pathlib import Path

from ..events import EventWriter
from .console import CommonMetricPrinter
from .json_lines import JSONWriter
from .tensorboard import TensorboardXWriter

__all__ = ["CommonMetricPrinter", "JSONWriter", "TensorboardXWriter", "default_writers"]


def default_writers(output_dir: str | os.PathLike[str], max_iter: int | None = None) -> list[EventWriter]:
    """Return the writers of console, metrics.json and TensorBoard; `output_dir` is made if it is missing."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return [CommonMetricPrinter(max_iter), JSONWriter(folder / "metrics.json"), TensorboardXWriter(str(folder))]
