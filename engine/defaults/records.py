"""Small files that a run leaves beside its checkpoints: its results, and what made it fail."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..metrics.losses import NonFiniteLoss
from ..run.files import read_json_object, write_text_atomically

RESULTS = "results.json"


def save_results(folder: str | os.PathLike[str], iteration: int, results: Mapping[str, Any]) -> None:
    """Write the results of a finished run of `iteration` steps to results.json."""
    text = json.dumps({"iteration": iteration, "results": results}, indent=2, default=float)
    write_text_atomically(Path(folder) / RESULTS, text + "\n")


def load_results(folder: str | os.PathLike[str], iteration: int) -> Mapping[str, Any] | None:
    """Return the results of a finished run of `iteration` steps, or None if it left none."""
    try:
        record = read_json_object(Path(folder) / RESULTS)
    except (OSError, ValueError):
        return None
    results = record.get("results")
    return results if record.get("iteration") == iteration and isinstance(results, dict) else None


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
    write_text_atomically(path, json.dumps(record, indent=2) + "\n")
    return path
