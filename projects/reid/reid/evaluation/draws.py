"""Protocols whose gallery is drawn at random: the means of several draws, the same ones in every run."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .ranking import evaluate_retrieval
from .result import RetrievalResult

NUM_DRAWS = 10
_SEED = 0


def single_shot_retrieval(
    blocks: Iterable[Tensor],
    query_pids: ArrayLike,
    gallery_pids: ArrayLike,
    query_camids: ArrayLike,
    gallery_camids: ArrayLike,
    *,
    max_rank: int = 50,
    num_draws: int = NUM_DRAWS,
) -> RetrievalResult:
    """Rank galleries that hold one image of each identity (CUHK03's first protocol, CVPR 2014): means of several draws.

    The image of a query's own identity is drawn among those of other cameras. Each query has one match, so its AP and
    INP are 1 / rank.

    Args:
        blocks: rows of distances (R, G), of one query after the other.
        query_pids: (Q,) integers.
        gallery_pids: (G,) integers.
        query_camids: (Q,) integers.
        gallery_camids: (G,) integers.
        max_rank: the length of `RetrievalResult.cmc`.
        num_draws: how many.

    Raises:
        ValueError: `num_draws` is below 1, or no query has a match.
    """
    _check(num_draws)
    pids, camids = np.asarray(query_pids), np.asarray(query_camids)
    gallery, cameras = np.asarray(gallery_pids), np.asarray(gallery_camids)
    # A draw is a random order of the gallery; an identity is represented by its first image in it.
    orders = [np.random.default_rng((_SEED, draw)).permutation(len(gallery)) for draw in range(num_draws)]
    ranks = np.zeros((num_draws, len(pids)), dtype=np.int64)
    done = 0
    for block in blocks:
        for row in block.numpy(force=True):
            for draw, order in enumerate(orders):
                ranks[draw, done] = _rank(row, order, pids[done], camids[done], gallery, cameras)
            done += 1
    return _of_ranks(ranks, max_rank)


def _rank(
    row: NDArray[np.floating], order: NDArray[np.int64], pid: int, camid: int, pids: NDArray, camids: NDArray
) -> int:
    """Return the rank of the only match, or 0 if there is none."""
    allowed = order[(pids[order] != pid) | (camids[order] != camid)]
    shown = allowed[np.unique(pids[allowed], return_index=True)[1]]
    match = shown[pids[shown] == pid]
    if not len(match):
        return 0
    return int((row[shown[pids[shown] != pid]] <= row[match[0]]).sum()) + 1


def _of_ranks(ranks: NDArray[np.int64], max_rank: int) -> RetrievalResult:
    valid = ranks[0] > 0
    if not valid.any():
        raise ValueError(f"none of the {ranks.shape[1]} queries has its identity in the gallery under another camera")
    places = ranks[:, valid]
    cmc = np.bincount(places[places <= max_rank], minlength=max_rank + 1)[1:].cumsum() / places.size
    precision = np.full(ranks.shape[1], np.nan)
    precision[valid] = (1 / places).mean(axis=0)
    return RetrievalResult(cmc=cmc, ap=precision, inp=precision.copy(), valid=valid)


def draw_gallery(pids: ArrayLike, draw: int) -> NDArray[np.bool_]:
    """Return for each image whether it is in the gallery of a draw: one image of each identity (VehicleID's protocol).

    Args:
        pids: (N,) identities of all images to test on.
        draw: the number of the draw, from 0. The same number gives the same gallery.
    """
    identities = np.asarray(pids)
    order = np.random.default_rng((_SEED, draw)).permutation(len(identities))
    in_gallery = np.zeros(len(identities), dtype=np.bool_)
    in_gallery[order[np.unique(identities[order], return_index=True)[1]]] = True
    return in_gallery


def redrawn_retrieval(
    features: Tensor,
    pids: ArrayLike,
    *,
    metric: str = "cosine",
    max_rank: int = 50,
    num_draws: int = NUM_DRAWS,
    memory_mib: int = 512,
    device: torch.device | str = "cpu",
) -> list[RetrievalResult]:
    """Return the results of several draws of VehicleID's protocol (CVPR 2016); its figures are their means.

    In each draw the gallery is one random image of each identity, and all other images are queries. Every image is of a
    camera of its own.

    Args:
        features: (N, D) of all images to test on.
        pids: (N,) their identities.
        metric: "cosine" or "euclidean".
        max_rank: the length of `RetrievalResult.cmc`.
        num_draws: how many.
        memory_mib: what ranking may take beside the features and a copy of them.
        device: where distances are computed.

    Raises:
        ValueError: as `evaluate_retrieval`; `num_draws` is below 1, or each identity has but one image.
    """
    _check(num_draws)
    identities = np.asarray(pids)
    results = []
    for draw in range(num_draws):
        in_gallery = draw_gallery(identities, draw)
        if in_gallery.all():
            raise ValueError("each identity to test on has a single image: nothing is left to be a query")
        chosen, others = np.flatnonzero(in_gallery), np.flatnonzero(~in_gallery)
        results.append(
            evaluate_retrieval(
                features[torch.from_numpy(others)],
                features[torch.from_numpy(chosen)],
                identities[others],
                identities[chosen],
                others,
                chosen,
                metric=metric,
                max_rank=max_rank,
                memory_mib=memory_mib,
                device=device,
            )
        )
    return results


def _check(num_draws: int) -> None:
    if num_draws < 1:
        raise ValueError(f"expected at least 1 draw of the gallery (TEST.NUM_DRAWS), got {num_draws}")
