"""Evaluators that see all samples, however many processes there are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from ..distributed import comm
from .evaluator import DatasetEvaluator


class GatheredEvaluator(DatasetEvaluator):
    """Keeps a record of each sample, and computes figures in the main process from the records of all processes.

    A subclass implements `record` and `compute`, and needs no communication of its own::

        class MeanError(GatheredEvaluator):
            def record(self, inputs, outputs):
                return (outputs - inputs["target"]).abs().tolist()

            def compute(self, records):
                return {"error": sum(records) / len(records)}

    Attributes:
        num_samples: the number of records that the last `evaluate` has seen, in the main process.
    """

    def __init__(self) -> None:
        self._batches: list[list[Any]] = []
        self.num_samples: int | None = None

    def record(self, inputs: Any, outputs: Any) -> Iterable[Any]:
        """Return one record for each sample of a batch: small and picklable, such as numbers or CPU tensors.

        Args:
            inputs: what the model was called with.
            outputs: what it returned.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement record(inputs, outputs)")

    def compute(self, records: Sequence[Any]) -> Mapping[str, Any]:
        """Return {metric: value}, or {task: {metric: value}}; called in the main process only.

        Args:
            records: of all samples, in the order of the test set where its loader deals batches in turn, as
                steploop.data's does.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement compute(records)")

    def reset(self) -> None:
        """Forget all records."""
        self._batches = []
        self.num_samples = None

    def process(self, inputs: Any, outputs: Any) -> None:
        """Keep the records of one batch."""
        self._batches.append(list(self.record(inputs, outputs)))

    def evaluate(self) -> Mapping[str, Any]:
        """Return the figures of all samples in the main process, {} in the others. Every process must call it."""
        ranks = comm.gather(self._batches)
        if not comm.is_main_process():
            return {}
        # Batch by batch: process r has the batches r, r + world size, ... of the set.
        turns = zip_longest(*ranks, fillvalue=())
        records = list(chain.from_iterable(chain.from_iterable(turns)))
        self.num_samples = len(records)
        return self.compute(records)


class ClassificationEvaluator(GatheredEvaluator):
    """Top-k accuracy in percent: the share of samples whose label is among the k classes with the highest scores.

    With equal scores, the classes before count as higher, as for `torch.topk` with sorted classes.

    Args:
        top_k: the values of k; with more than there are classes, the accuracy is 100.
        labels: returns the labels (N,) of a batch's inputs; by default ``inputs["label"]``, or the second of a pair.
        scores: returns the scores (N, classes) of the model's outputs; by default the outputs themselves.

    Raises:
        ValueError: a k is less than 1, or there is none.
    """

    def __init__(
        self,
        top_k: Sequence[int] = (1, 5),
        *,
        labels: Callable[[Any], Tensor] | None = None,
        scores: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not top_k or min(top_k) < 1:
            raise ValueError(f"top_k is a list of numbers of classes, each at least 1; got {top_k!r}")
        self._top_k = tuple(top_k)
        self._labels = labels or _labels_of
        self._scores = scores or (lambda outputs: outputs)

    def record(self, inputs: Any, outputs: Any) -> Iterable[int]:
        """Return how many classes have a higher score than the label's, for each sample.

        Raises:
            ValueError: the shapes are not (N, classes) and (N,), or a label is no class.
        """
        scores = self._scores(outputs)
        labels = torch.as_tensor(self._labels(inputs)).to(scores.device, torch.int64)
        if scores.ndim != 2 or labels.shape != scores.shape[:1]:
            raise ValueError(
                f"classification needs scores (N, classes) and labels (N,); got {tuple(scores.shape)} and "
                f"{tuple(labels.shape)}"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < scores.shape[1]:
            found = f"{int(labels.min())}..{int(labels.max())}"
            raise ValueError(f"labels are in 0..{scores.shape[1] - 1}, the model's classes; got {found}")
        own = scores.gather(1, labels[:, None])
        classes = torch.arange(scores.shape[1], device=scores.device)
        # "Not lower or equal": a score of NaN is never a success.
        is_higher = ~(scores <= own) | ((scores == own) & (classes < labels[:, None]))
        return is_higher.sum(1).tolist()

    def compute(self, records: Sequence[int]) -> Mapping[str, float]:
        """Return {"top1": percent, ...}."""
        return {f"top{k}": 100.0 * sum(rank < k for rank in records) / len(records) for k in self._top_k}


def _labels_of(inputs: Any) -> Tensor:
    if isinstance(inputs, Mapping) and "label" in inputs:
        return inputs["label"]
    if isinstance(inputs, list | tuple) and len(inputs) == 2:
        return inputs[1]
    raise ValueError(
        'the labels of a batch are inputs["label"] or the second of a pair; '
        f"got {type(inputs).__name__}: give ClassificationEvaluator a function labels=..."
    )
