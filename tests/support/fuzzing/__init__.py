"""Mutated inputs of everything that a run reads, and what must hold for each of them."""

from .checkpoints import CHECKPOINT, POINTER
from .configs import CONFIG, OVERRIDES
from .data import FILE_NAMES, IMAGE
from .harness import CORRECT, Box, Failure, Kind, alarm, attempt, observe, tally
from .run_files import METRICS, RECORDS

KINDS = (CONFIG, OVERRIDES, CHECKPOINT, POINTER, IMAGE, FILE_NAMES, METRICS, RECORDS)

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "CORRECT",
    "FILE_NAMES",
    "IMAGE",
    "KINDS",
    "METRICS",
    "OVERRIDES",
    "POINTER",
    "RECORDS",
    "Box",
    "Failure",
    "Kind",
    "alarm",
    "attempt",
    "observe",
    "tally",
]
