"""The evaluation of a model on every test set of a config."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ..distributed import comm
from .evaluator import DatasetEvaluator, inference_on_dataset
from .results import print_csv_format

logger = logging.getLogger(__name__)


def evaluate_test_sets(
    names: Sequence[str],
    model: nn.Module,
    build_loader: Callable[[str], Iterable[Any]],
    build_evaluator: Callable[[str], DatasetEvaluator],
    evaluators: Sequence[DatasetEvaluator] | None = None,
) -> Mapping[str, Any]:
    """Evaluate one set after the other, and print the results of each.

    Args:
        names: of the sets.
        model: put into eval mode and back.
        build_loader: returns this process's part of a set.
        build_evaluator: returns what measures results on a set.
        evaluators: one for each set; built if None.

    Returns:
        {set: {metric: value}}; for one set whose evaluator groups its metrics by task, {task: {metric: value}}. Empty
        in all processes but the main one.

    Raises:
        ValueError: there are not as many evaluators as sets.
    """
    if evaluators is not None and len(evaluators) != len(names):
        raise ValueError(f"{len(names)} test sets need as many evaluators; got {len(evaluators)}")
    results: dict[str, Any] = {}
    for index, name in enumerate(names):
        evaluator = evaluators[index] if evaluators else build_evaluator(name)
        result = inference_on_dataset(model, build_loader(name), evaluator)
        if result and comm.is_main_process():
            results[name] = result
            logger.info("Evaluation results for %s:", name)
            print_csv_format(result if _is_grouped(result) else {name: result})
    if len(results) == 1 and _is_grouped(only := next(iter(results.values()))):
        return only
    return results


def _is_grouped(result: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) for value in result.values())
