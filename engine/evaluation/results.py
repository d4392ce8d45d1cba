"""The results of an evaluation: tables, scalars, and what was expected of them."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from steploop.config import CfgNode
from steploop.config.nested import leaves

logger = logging.getLogger(__name__)


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested results as one dict, with keys joined by "/"."""
    return dict(leaves(results, "/"))


def number_or_none(value: Any) -> float | None:
    """Return a number, or what holds one (a bool, a text, a numpy number, a tensor of one element), or None."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # a tensor of several elements is a RuntimeError
        return None


def numbers_of(results: Mapping[str, Any], source: str) -> dict[str, float]:
    """Return the flattened results that are numbers; name the others in a warning.

    Args:
        results: (nested) results of an evaluation.
        source: what returned them, for the warning.
    """
    numbers: dict[str, float] = {}
    for name, value in flatten_results_dict(results).items():
        number = number_or_none(value)
        if number is None:
            logger.warning("%s returned %r: %.80r, no number: it is not recorded as a metric", source, name, value)
        else:
            numbers[name] = number
    return numbers


def format_results(results: Mapping[str, Any]) -> str:
    """Return results as a table: a row for each task, a column for each metric.

    Args:
        results: {task: {metric: value}}, or {metric: value} for a single row.
    """
    tasks = {task: flatten_results_dict(values) for task, values in results.items() if isinstance(values, Mapping)}
    single = {metric: value for metric, value in results.items() if not isinstance(value, Mapping)}
    if single:
        tasks[""] = single
    metrics = list(dict.fromkeys(metric for values in tasks.values() for metric in values))
    rows = [[task, *(_cell(values.get(metric)) for metric in metrics)] for task, values in tasks.items()]
    return tabulate(rows, headers=["", *metrics], tablefmt="simple_outline", floatfmt=".2f", missingval="-")


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log results as a table, and then in lines that can be copied into a spreadsheet.

    Args:
        results: {task: {metric: value}}; a value that is not a dict stands alone as ``name=value``. What is no number
            is shown as text.
    """
    logger.info("Results:\n%s", format_results(results))
    for task, values in results.items():
        if isinstance(values, Mapping):
            flat = flatten_results_dict(values)
            logger.info("copypaste: Task: %s", task)
            logger.info("copypaste: %s", ",".join(map(str, flat)))
            logger.info("copypaste: %s", ",".join(map(_plain, flat.values())))
        else:
            logger.info("copypaste: %s=%s", task, values)


def verify_results(cfg: CfgNode, results: Mapping[str, Any]) -> bool:
    """Compare results with TEST.EXPECTED_RESULTS, rows of [task, metric, expected, tolerance].

    Returns:
        True when every expectation is met, or there is none.

    Raises:
        ValueError: one line for each metric that is missing, not finite or off by more than its tolerance; or a row
            that is not such a list.
    """
    expectations = check_expected_results(cfg)
    actual_results = flatten_results_dict(results)
    failures = []
    for task, metric, expected, tolerance in expectations:
        actual = actual_results.get(f"{task}/{metric}")
        number = number_or_none(actual)
        if number is None or not math.isfinite(number) or abs(number - expected) > tolerance:
            failures.append(f"{task}/{metric}: expected {expected} +- {tolerance}, got {actual}")
    if failures:
        raise ValueError("results differ from TEST.EXPECTED_RESULTS:\n  " + "\n  ".join(failures))
    if expectations:
        logger.info("The results are those of TEST.EXPECTED_RESULTS.")
    return True


def check_expected_results(cfg: CfgNode) -> Sequence[tuple[str, str, float, float]]:
    """Return the rows of TEST.EXPECTED_RESULTS; called before a run begins, which would fail at its end.

    Raises:
        ValueError: a row is not [task, metric, expected, tolerance], or no test set is evaluated.
    """
    rows = cfg.TEST.EXPECTED_RESULTS
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != 4 or not _is_expectation(*row):
            raise ValueError(
                "a row of TEST.EXPECTED_RESULTS is [task, metric, expected, tolerance], such as "
                f'["market1501", "mAP", 80.0, 0.5] with a tolerance of at least 0, got {row!r}'
            )
    return rows


def _is_expectation(task: Any, metric: Any, expected: Any, tolerance: Any) -> bool:
    numbers = [value for value in (expected, tolerance) if isinstance(value, int | float) and math.isfinite(value)]
    return isinstance(task, str) and isinstance(metric, str) and len(numbers) == 2 and tolerance >= 0


def _cell(value: Any) -> Any:
    number = number_or_none(value)
    return value if number is None else number


def _plain(value: Any) -> str:
    number = number_or_none(value)
    return " ".join(str(value).split()) if number is None else f"{number:.4f}"
