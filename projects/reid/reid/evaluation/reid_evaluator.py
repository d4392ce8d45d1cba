"""Collects the features of a test set and measures how well its queries find their identities."""

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steploop.engine import comm
from steploop.engine.evaluation.evaluator import DatasetEvaluator

from ..data.items import ReidItem
from .measure import RankingOptions, Retrieval, measure

logger = logging.getLogger(__name__)


class ReidEvaluator(DatasetEvaluator):
    """Measures Rank-1, Rank-5, Rank-10, mAP and mINP, in percent, on queries followed by a gallery.

    A batch is the re-ID batch with one more entry, "indices": int64 (B,), the place of each sample in queries +
    gallery. By it the order of the set is restored, however many processes shared it.

    Args:
        num_query: the first `num_query` samples are the queries, all others the gallery.
        options: how the gallery is ranked; None takes the defaults of `RankingOptions`.

    Attributes:
        retrieval: after `evaluate`, on the main process, what the figures were computed from; else None.
    """

    def __init__(self, num_query: int, options: RankingOptions | None = None) -> None:
        if num_query < 1:
            raise ValueError(f"expected at least one query, got num_query={num_query}")
        self.num_query = num_query
        self.options = options or RankingOptions()
        self.retrieval: Retrieval | None = None
        self._indices: list[int] = []
        self._items: list[ReidItem] = []
        self._features: list[Tensor] = []

    def reset(self) -> None:
        """Forget what was processed."""
        self.retrieval = None
        self._indices, self._items, self._features = [], [], []

    def process(self, inputs: Mapping[str, Any], outputs: Tensor) -> None:
        """Keep a batch's features.

        Args:
            inputs: the batch: "indices", "targets", "camids" int64 (B,) and "img_paths".
            outputs: (B, D) features.

        Raises:
            KeyError: an entry is missing.
            ValueError: not one feature for each sample.
        """
        if missing := [key for key in ("indices", "targets", "camids", "img_paths") if key not in inputs]:
            raise KeyError(f"the batch lacks {', '.join(missing)}; it holds {', '.join(inputs)}")
        indices = inputs["indices"].tolist()
        if outputs.ndim != 2 or len(outputs) != len(indices):
            raise ValueError(f"expected features ({len(indices)}, D), one row a sample, got {tuple(outputs.shape)}")
        self._indices += indices
        rows = zip(inputs["img_paths"], inputs["targets"].tolist(), inputs["camids"].tolist())
        self._items += [ReidItem(path, pid, camid) for path, pid, camid in rows]
        self._features.append(outputs.detach().to("cpu", torch.float32))

    def evaluate(self) -> "OrderedDict[str, float]":
        """Return the figures (see `measure`): Rank-1, Rank-5, Rank-10, mAP, mINP and metric in percent, and others.

        Every process must call it; those but the main one get an empty dict.

        Raises:
            ValueError: samples are missing or came twice, features are not finite, or no query has a match.
        """
        numbers = [(index, item.pid, item.camid) for index, item in zip(self._indices, self._items)]
        labels = comm.gather_tensor(torch.tensor(numbers, dtype=torch.int64).reshape(-1, 3))
        paths = comm.gather_tensor(_to_bytes([item.img_path for item in self._items]))
        # One tensor takes the batches' place: the features are the largest thing here, and stay until `reset`.
        self._features = [torch.cat(self._features) if self._features else torch.empty(0, 0)]
        features = comm.gather_tensor(self._features[0])
        if not comm.is_main_process():
            return OrderedDict()
        indices, pids, camids = torch.cat(labels).T.tolist()
        order = _inverse(indices)
        items = [ReidItem(*row) for row in zip([path for part in paths for path in _from_bytes(part)], pids, camids)]
        return self._rank([items[place] for place in order], _in_order(features, indices))

    def _rank(self, items: list[ReidItem], features: Tensor) -> "OrderedDict[str, float]":
        query, gallery = items[: self.num_query], items[self.num_query :]
        query_features, gallery_features = features[: self.num_query], features[self.num_query :]
        if not gallery:
            raise ValueError(f"all {len(items)} samples are queries (num_query={self.num_query}): the gallery is empty")
        self.retrieval, figures = measure(query, gallery, query_features, gallery_features, self.options)
        result = self.retrieval.result
        if result.num_skipped:
            logger.info(
                "%d of %d queries were left out: the gallery does not hold their identity under another camera",
                result.num_skipped,
                len(query),
            )
        return figures


def _to_bytes(paths: list[str]) -> Tensor:
    """Return paths as one uint8 tensor; no path holds the byte 0."""
    text = b"".join(os.fsencode(path) + b"\0" for path in paths)
    return torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy())


def _from_bytes(text: Tensor) -> list[str]:
    return [os.fsdecode(path) for path in text.numpy().tobytes().split(b"\0")[:-1]]


def _inverse(indices: list[int]) -> list[int]:
    """Return where sample 0, 1, ... stands in `indices`."""
    if not indices:
        raise ValueError("nothing was processed: the test loader gave no batch")
    order = torch.tensor(indices).argsort()
    if torch.tensor(indices)[order].tolist() != list(range(len(indices))):
        raise ValueError(
            f"expected each sample once, got {len(indices)} of them with {len(set(indices))} different indices up to "
            f"{max(indices)}: each process evaluates its own share of the test set, and together they evaluate all"
        )
    return order.tolist()


def _in_order(parts: list[Tensor], indices: list[int]) -> Tensor:
    """Return the rows of all parts, each at its index; without a copy where they stand there already."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1 and indices == list(range(len(indices))):
        return parts[0]
    merged = parts[0].new_empty(len(indices), parts[0].shape[1])
    for part, places in zip(parts, torch.tensor(indices).split([len(part) for part in parts])):
        merged[places] = part
    return merged
