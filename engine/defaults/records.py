"""Small files that a run leaves beside its checkpoints: its results, and what made it fail."""

import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..metrics.losses import NonFiniteLoss
from ..run.best_effort import BestEffort
from ..run.files import read_json_object, write_json_atomically

RESULTS = "results.json"


def save_results(folder: str | os.PathLike[str], iteration: int, results: Mapping[str, Any]) -> None:
    """Write the results of a finished run of `iteration` steps to results.json; null is a number that is not finite.

    A file that cannot be written is an error in the log: a run that is resumed then evaluates again.
    """
    record = {"iteration": iteration, "results": results}
    BestEffort(OSError).attempt(RESULTS, partial(write_json_atomically, Path(folder) / RESULTS, record))


def load_results(folder: str | os.PathLike[str], iteration: int) -> Mapping[str, Any] | None:
    """Return the results of a finished run of `iteration` steps, or None if it left none."""
    try:
        record = read_json_object(Path(folder) / RESULTS)
    except (OSError, ValueError):
        return None
    results = record.get("results")
    return _numbers(results) if record.get("iteration") == iteration and isinstance(results, dict) else None


def _numbers(value: Any) -> Any:
    """Give null its number back."""
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    return math.nan if value is None else value


def report_non_finite(folder: str | os.PathLike[str], error: NonFiniteLoss, rank: int, data_loader: Any) -> Path:
    """Write what is needed to look at a step of which a loss was not finite: its losses and this process's samples.

    Args:
        folder: where ``nonfinite_<iteration>_rank<rank>.json`` is written.
        error: what was raised.
        rank: of this process.
        data_loader: asked for its ``items_at(step)``, if it has that.

    Returns:
        The path of the file.
    """
    items = data_loader.items_at(error.iteration) if hasattr(data_loader, "items_at") else None
    record = {
        "iteration": error.iteration,
        "losses": {name: repr(value) for name, value in error.losses.items()},
        "samples": items if items is None else [repr(item) for item in items],
    }
    path = Path(folder) / f"nonfinite_{error.iteration}_rank{rank}.json"
    BestEffort(OSError).attempt(path.name, partial(write_json_atomically, path, record))
    return path
