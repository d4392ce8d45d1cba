"""Runs a model over a data set in eval mode."""

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import nn

from ..distributed import comm
from .coverage import check_coverage
from .samples import samples_of, set_size

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

        With several processes it is called on each, and has to gather what the others have processed; those but the
        main one return an empty dict or None. GatheredEvaluator does that.
        """


class DatasetEvaluators(DatasetEvaluator):
    """Several evaluators of one run over the data.

    Args:
        evaluators: called in this order.
    """

    def __init__(self, evaluators: Sequence[DatasetEvaluator]) -> None:
        self.evaluators = list(evaluators)

    def reset(self) -> None:
        """Reset each."""
        for evaluator in self.evaluators:
            evaluator.reset()

    def process(self, inputs: Any, outputs: Any) -> None:
        """Give the batch to each."""
        for evaluator in self.evaluators:
            evaluator.process(inputs, outputs)

    def evaluate(self) -> "OrderedDict[str, Any]":
        """Return the results of all in one dict.

        Raises:
            ValueError: two evaluators return the same key.
        """
        merged: OrderedDict[str, Any] = OrderedDict()
        for evaluator in self.evaluators:
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
        ValueError: no process has a batch, two evaluators return the same key, or processes return different figures,
            each of its part of the samples.
        RuntimeError: the evaluation failed in another process.
    """
    if not isinstance(data_loader, Sized):
        raise TypeError(f"expected a data loader with a length, got {type(data_loader).__name__}")
    if sum(comm.all_gather(len(data_loader))) == 0:
        raise ValueError("there is nothing to evaluate: the data loader has no batch")
    if not isinstance(evaluator, DatasetEvaluator):
        evaluator = DatasetEvaluators(evaluator or [])
    call = _caller(callbacks or {})

    def run() -> int | None:
        """Return the number of samples of this process; None where it cannot be told."""
        num_samples: int | None = 0
        evaluator.reset()
        call("on_start")
        for inputs in _with_progress(data_loader):
            size = samples_of(inputs)
            num_samples = None if size is None or num_samples is None else num_samples + size
            call("before_inference")
            outputs = model(inputs)
            call("after_inference")
            evaluator.process(inputs, outputs)
        call("on_end")
        return num_samples

    with inference_context(model) if isinstance(model, nn.Module) else nullcontext(), torch.no_grad():
        # An error of one process reaches all of them here: in the evaluator's collectives they would wait for it.
        counts = _attempt_by_all(run)
    results = evaluator.evaluate() or {}
    parts = evaluator.evaluators if isinstance(evaluator, DatasetEvaluators) else [evaluator]
    check_coverage(results, counts, set_size(data_loader), evaluator, parts)
    return results


def _attempt_by_all(run: Callable[[], int | None]) -> list[int | None]:
    """Return what `run` returns in each process; raise in all of them where it fails in one."""
    count, error = None, None
    try:
        count = run()
    except Exception as failure:
        error = failure
    outcomes = comm.all_gather((count, None if error is None else f"{type(error).__name__}: {error}"))
    if error is not None:
        raise error
    if failed := {rank: text for rank, (_, text) in enumerate(outcomes) if text is not None}:
        raise RuntimeError(f"the evaluation failed in other processes, by rank: {failed}")
    return [count for count, _ in outcomes]


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
