"""Runs a model over a data set in eval mode, and what is done with the results."""

import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from tabulate import tabulate
from torch import nn

from steploop.config import CfgNode
from steploop.config.nested import leaves

from ..distributed import comm

logger = logging.getLogger(__name__)

# The first batches pay for start-up and would spoil the estimate.
_WARMUP = 5


class DatasetEvaluator:
    """Takes a model's outputs batch by batch and makes figures of them.

    `inference_on_dataset` calls `reset`, then `process` for each batch, then `evaluate` once.
    """

    def reset(self) -> None:
        """Forget what was processed, for a new round."""

    def process(self, inputs: Any, outputs: Any) -> None:
        """Take one batch.

        Args:
            inputs: what the model was called with.
            outputs: what it returned.
        """

    def evaluate(self) -> Mapping[str, Any] | None:
        """Return {metric: value}, or {task: {metric: value}}, of all that was processed.

        With several processes it is called on each, and those but the main one return an empty dict or None.
        """


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators of one run over the data.

    Args:
        evaluators: called in this order.
    """

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self._evaluators = list(evaluators)

    def reset(self) -> None:
        """Reset each."""
        for evaluator in self._evaluators:
            evaluator.reset()

    def process(self, inputs: Any, outputs: Any) -> None:
        """Give the batch to each."""
        for evaluator in self._evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> "OrderedDict[str, Any]":
        """Return the results of all in one dict.

        Raises:
            ValueError: two evaluators return the same key.
        """
        merged: OrderedDict[str, Any] = OrderedDict()
        for evaluator in self._evaluators:
            results = evaluator.evaluate() or {}
            if clashes := sorted(merged.keys() & results.keys()):
                raise ValueError(
                    f"{type(evaluator).__name__} returns {', '.join(clashes)}, which an evaluator before it has "
                    "returned: give their tasks different names"
                )
            merged.update(results)
        return merged


@contextmanager
def inference_context(model: nn.Module) -> Iterator[None]:
    """Put `model` into eval mode, and afterwards each of its modules back into the mode it was in.

    A module that was frozen in eval mode inside a training model stays frozen. Exceptions change nothing of it.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def inference_on_dataset(
    model: Callable[[Any], Any],
    data_loader: Iterable[Any],
    evaluator: DatasetEvaluator | Sequence[DatasetEvaluator] | None,
    callbacks: Mapping[str, Callable[[], Any]] | None = None,
) -> Mapping[str, Any]:
    """Run `model` over `data_loader` without gradients and evaluate its outputs.

    Speed and remaining time are logged now and then, or shown as a bar where stderr is a terminal.

    Args:
        model: called with each batch; an nn.Module is put into eval mode and back.
        data_loader: has a length; each process may have its own share of the batches.
        evaluator: one, or several whose results are merged; None only runs the model.
        callbacks: functions without arguments by the names "on_start", "before_inference", "after_inference", "on_end".

    Returns:
        What `evaluator.evaluate()` returned, {} for None.

    Raises:
        TypeError: the loader has no length.
        ValueError: no process has a batch, or two evaluators return the same key.
    """
    if not isinstance(data_loader, Sized):
        raise TypeError(f"expected a data loader with a length, got {type(data_loader).__name__}")
    if sum(comm.all_gather(len(data_loader))) == 0:
        raise ValueError("there is nothing to evaluate: the data loader has no batch")
    if not isinstance(evaluator, DatasetEvaluator):
        evaluator = DatasetEvaluators(evaluator or [])
    call = _caller(callbacks or {})
    evaluator.reset()
    with inference_context(model) if isinstance(model, nn.Module) else nullcontext(), torch.no_grad():
        call("on_start")
        for inputs in _with_progress(data_loader):
            call("before_inference")
            outputs = model(inputs)
            call("after_inference")
            evaluator.process(inputs, outputs)
        call("on_end")
    return evaluator.evaluate() or {}


def _caller(callbacks: Mapping[str, Callable[[], Any]]) -> Callable[[str], None]:
    known = ("on_start", "before_inference", "after_inference", "on_end")
    if unknown := sorted(callbacks.keys() - set(known)):
        raise ValueError(f"unknown callbacks {', '.join(unknown)}: choose from {', '.join(known)}")

    def call(name: str) -> None:
        if name in callbacks:
            callbacks[name]()

    return call


def _with_progress(batches: Any, period: float = 5.0, clock: Callable[[], float] = time.perf_counter) -> Iterator[Any]:
    """Yield the batches; show how it goes on the main process's terminal, else in a line every `period` seconds."""
    total = len(batches)
    logger.info("Inference on %d batches", total)
    start = clock()
    if comm.is_main_process() and sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(batches, total=total, desc="inference", unit="batch", leave=False, dynamic_ncols=True)
    else:
        yield from _with_lines(batches, total, period, clock)
    seconds = clock() - start
    logger.info("Inference took %.1f s (%.4f s for each batch)", seconds, seconds / max(1, total))


def _with_lines(batches: Any, total: int, period: float, clock: Callable[[], float]) -> Iterator[Any]:
    warm = last = clock()
    warmup = min(_WARMUP, total - 1)
    for done, batch in enumerate(batches):
        now = clock()
        if done == warmup:
            warm = now
        elif done > warmup and now - last >= period:
            last, pace = now, (now - warm) / (done - warmup)
            eta = timedelta(seconds=round(pace * (total - done)))
            logger.info("Inference done %d/%d, %.4f s for each batch, ETA %s", done, total, pace, eta)
        yield batch


def format_results(results: Mapping[str, Any]) -> str:
    """Return results as a table: a row for each task, a column for each metric.

    Args:
        results: {task: {metric: value}}, or {metric: value} for a single row.
    """
    tasks = {task: values for task, values in results.items() if isinstance(values, Mapping)}
    single = {metric: value for metric, value in results.items() if not isinstance(value, Mapping)}
    if single:
        tasks[""] = single
    metrics = list(dict.fromkeys(metric for values in tasks.values() for metric in values))
    rows = [[task, *(values.get(metric) for metric in metrics)] for task, values in tasks.items()]
    return tabulate(rows, headers=["", *metrics], tablefmt="simple_outline", floatfmt=".2f", missingval="-")


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log results as a table, and then in lines that can be copied into a spreadsheet.

    Args:
        results: {task: {metric: value}}; a value that is not a dict stands alone as ``name=value``.
    """
    logger.info("Results:\n%s", format_results(results))
    for task, values in results.items():
        if isinstance(values, Mapping):
            logger.info("copypaste: Task: %s", task)
            logger.info("copypaste: %s", ",".join(map(str, values)))
            logger.info("copypaste: %s", ",".join(f"{value:.4f}" for value in values.values()))
        else:
            logger.info("copypaste: %s=%s", task, values)


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested results as one dict, with keys joined by "/"."""
    return dict(leaves(results, "/"))


def verify_results(cfg: CfgNode, results: Mapping[str, Any]) -> bool:
    """Compare results with TEST.EXPECTED_RESULTS, rows of [task, metric, expected, tolerance].

    Returns:
        True when every expectation is met, or there is none.

    Raises:
        ValueError: one line for each metric that is missing, not finite or off by more than its tolerance; or a row
            that is not such a list.
    """
    expectations = cfg.TEST.EXPECTED_RESULTS
    actual_results = flatten_results_dict(results)
    failures = []
    for row in expectations:
        if len(row) != 4:
            raise ValueError(f"a row of TEST.EXPECTED_RESULTS is [task, metric, expected, tolerance], got {row}")
        task, metric, expected, tolerance = row
        actual = actual_results.get(f"{task}/{metric}")
        if actual is None or not math.isfinite(actual) or abs(actual - expected) > tolerance:
            failures.append(f"{task}/{metric}: expected {expected} +- {tolerance}, got {actual}")
    if failures:
        raise ValueError("results differ from TEST.EXPECTED_RESULTS:\n  " + "\n  ".join(failures))
    if expectations:
        logger.info("The results are those of TEST.EXPECTED_RESULTS.")
    return True
