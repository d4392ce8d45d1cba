"""The figures of a test set from its features, by the protocol that the config asks for."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.items import ReidItem
from .distances import METRICS, distance_blocks, pairwise_distance
from .draws import NUM_DRAWS, redrawn_retrieval, single_shot_retrieval
from .query_expansion import QueryExpansion, expand_features
from .ranking import Ranking
from .rerank import Reranked, Reranking
from .result import RetrievalResult
from .roc import Verification

Figures: TypeAlias = "OrderedDict[str, float]"

PROTOCOLS = ("standard", "single-shot", "redrawn")
"""Of TEST.PROTOCOL; see `RankingOptions`."""


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """How a gallery is ranked.

    Attributes:
        metric: "cosine" or "euclidean".
        max_rank: length of the CMC curve, at least 10.
        memory_mib: what ranking may take beside the features; it does not change the figures.
        device: where distances are computed and counted.
        expansion: expand the features first; None does not.
        reranking: rank by these distances; None ranks by the metric.
        verification: also measure true positive rates at false positive rates (see `Verification`).
        protocol: "standard" (Market-1501's: all of the gallery, except the query's own camera), "single-shot" (CUHK03's
            first one, see `single_shot_retrieval`) or "redrawn" (VehicleID's, see `redrawn_retrieval`).
        num_draws: how often the two others draw a gallery.

    Raises:
        ValueError: a value is out of its range, or the protocol does not go with the others.
    """

    metric: str = "cosine"
    max_rank: int = 50
    memory_mib: int = 512
    device: torch.device | str = "cpu"
    expansion: QueryExpansion | None = None
    reranking: Reranking | None = None
    verification: bool = False
    protocol: str = "standard"
    num_draws: int = NUM_DRAWS

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric!r}: choose one of {', '.join(METRICS)}")
        if self.max_rank < 10:
            raise ValueError(f"max_rank must be at least 10 for Rank-10, got {self.max_rank}")
        if self.memory_mib < 1:
            raise ValueError(f"expected at least 1 MiB to rank in (TEST.MEMORY_MIB), got {self.memory_mib}")
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"unknown TEST.PROTOCOL {self.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
        if self.num_draws < 1:
            raise ValueError(f"expected at least 1 draw of the gallery (TEST.NUM_DRAWS), got {self.num_draws}")
        for part in (self.expansion, self.reranking):
            if part is not None:
                part.check()
        if self.protocol != "standard" and (self.reranking or self.verification):
            raise ValueError(
                f"TEST.PROTOCOL {self.protocol!r} draws galleries at random and goes with neither TEST.RERANK nor "
                'TEST.ROC: disable them, or choose "standard"'
            )


@dataclass(frozen=True)
class Retrieval:
    """A test set with its features and how they rank.

    Attributes:
        query: the queries.
        gallery: what they are looked for in.
        query_features: (Q, D) float32 on the CPU, expanded if that was asked for.
        gallery_features: (G, D) float32 on the CPU, likewise.
        metric: the distance, "cosine" or "euclidean".
        result: the figures.
        reranked: the distances that were ranked by, where they are not those of the metric.
    """

    query: list[ReidItem]
    gallery: list[ReidItem]
    query_features: Tensor
    gallery_features: Tensor
    metric: str
    result: RetrievalResult
    reranked: Reranked | None = None

    @property
    def kind(self) -> str:
        """The kind of distance, in words."""
        return f"{'re-ranked ' if self.reranked is not None else ''}{self.metric} distance"

    def distances_of(self, query: int) -> NDArray[np.float32]:
        """Return the distances (G,) that the gallery was ranked by for a query."""
        if self.reranked is not None:
            return self.reranked.of_query(query)
        own = self.query_features[query : query + 1]
        return pairwise_distance(own, self.gallery_features, self.metric)[0].numpy()


def measure(
    query: list[ReidItem],
    gallery: list[ReidItem],
    query_features: Tensor,
    gallery_features: Tensor,
    options: RankingOptions,
) -> tuple[Retrieval, Figures]:
    """Rank a gallery for queries; return what was ranked, and the figures.

    The figures are Rank-1, Rank-5, Rank-10, mAP, mINP and metric = (Rank-1 + mAP) / 2, in percent; with `verification`
    also TPR@FPR=1e-04, 1e-03 and 1e-02, as shares in 0..1.

    Raises:
        ValueError: features are not finite or do not fit, or no query has a match.
    """
    if options.expansion is not None:
        query_features, gallery_features = expand_features(
            query_features, gallery_features, options.expansion, memory_mib=options.memory_mib, device=options.device
        )
    labels = [[getattr(item, name) for item in items] for name in ("pid", "camid") for items in (query, gallery)]
    reranked = None
    if options.reranking is not None:
        reranked = Reranked(
            query_features,
            gallery_features,
            options.metric,
            options.reranking,
            memory_mib=options.memory_mib,
            device=options.device,
        )
        blocks = reranked.blocks()
    else:
        on_device = gallery_features.to(options.device)
        blocks = distance_blocks(query_features, on_device, options.metric, memory_mib=options.memory_mib)
    result, figures = _PROTOCOLS[options.protocol](query_features, gallery_features, labels, blocks, options)
    return Retrieval(query, gallery, query_features, gallery_features, options.metric, result, reranked), figures


Labels = Sequence[Sequence[int]]
"""Identities of queries and gallery, cameras of queries and gallery."""


def _standard(
    query: Tensor, gallery: Tensor, labels: Labels, blocks: Iterator[Tensor], options: RankingOptions
) -> tuple[RetrievalResult, Figures]:
    ranking = Ranking(*labels)
    verification = Verification(*labels) if options.verification else None
    for block in blocks:
        ranking.add(block)
        if verification is not None:
            verification.add(block)
    result = ranking.result(options.max_rank)
    figures = percent(result)
    if verification is not None:
        figures.update((f"TPR@FPR={rate:.0e}", tpr) for rate, tpr in verification.true_positive_rates().items())
    return result, figures


def _single_shot(
    query: Tensor, gallery: Tensor, labels: Labels, blocks: Iterator[Tensor], options: RankingOptions
) -> tuple[RetrievalResult, Figures]:
    result = single_shot_retrieval(blocks, *labels, max_rank=options.max_rank, num_draws=options.num_draws)
    return result, percent(result)


def _redrawn(
    query: Tensor, gallery: Tensor, labels: Labels, blocks: Iterator[Tensor], options: RankingOptions
) -> tuple[RetrievalResult, Figures]:
    results = redrawn_retrieval(
        torch.cat((query, gallery)),
        [*labels[0], *labels[1]],
        metric=options.metric,
        max_rank=options.max_rank,
        num_draws=options.num_draws,
        memory_mib=options.memory_mib,
        device=options.device,
    )
    each = [percent(result) for result in results]
    means = OrderedDict((name, sum(one[name] for one in each) / len(each)) for name in each[0])
    # Pictures show the queries and the gallery of the data set itself.
    return _standard(query, gallery, labels, blocks, options)[0], means


_PROTOCOLS = {"standard": _standard, "single-shot": _single_shot, "redrawn": _redrawn}


def percent(result: RetrievalResult) -> Figures:
    """Return Rank-1, Rank-5, Rank-10, mAP, mINP and metric = (Rank-1 + mAP) / 2 in percent."""
    figures = OrderedDict((f"Rank-{k}", 100 * result.rank(k)) for k in (1, 5, 10))
    figures["mAP"] = 100 * result.mean_ap
    figures["mINP"] = 100 * result.mean_inp
    figures["metric"] = (figures["Rank-1"] + figures["mAP"]) / 2
    return figures
