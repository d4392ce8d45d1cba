"""Where metrics go."""

from .console import CommonMetricPrinter
from .json_lines import JSONWriter
from .tensorboard import TensorboardXWriter

__all__ = ["CommonMetricPrinter", "JSONWriter", "TensorboardXWriter"]
