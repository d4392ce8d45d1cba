"""k-reciprocal re-ranking (arXiv:1701.08398): distances that also count which neighbours two images share."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .distances import distance_blocks, pairwise_distance
from .reciprocal import Ints, JaccardDistance, encode


class Reranking(NamedTuple):
    """The numbers of k-reciprocal re-ranking.

    Attributes:
        k1: the number of nearest neighbours, the image itself among them.
        k2: the number of neighbours over which encodings are averaged.
        weight: the share of the original distance in the result, in 0..1.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3

    def check(self) -> None:
        """Raise ValueError if a number is out of its range."""
        if not 1 <= self.k2 <= self.k1 or not 0 <= self.weight <= 1:
            raise ValueError(
                "expected 1 <= TEST.RERANK.K2 <= K1 and LAMBDA in 0..1, got "
                f"K1 {self.k1}, K2 {self.k2} and LAMBDA {self.weight}"
            )


class Reranked:
    """Re-ranked distances, ``(1 - weight) * jaccard + weight * distance``, some queries at a time.

    The neighbours are those of the Euclidean distance of all features (normalised ones if the metric is "cosine").

    Args:
        query: (Q, D).
        gallery: (G, D).
        metric: "cosine" or "euclidean".
        reranking: how.
        memory_mib: what distances may take beside the features at any time. While the neighbours are looked for, there
            is also a copy of the features; the encoding stays, about 4 * k1 * k2 bytes for each image.
        device: where distances are computed.

    Raises:
        ValueError: a number of `reranking` is out of its range, or as `distance_blocks`.
    """

    def __init__(
        self,
        query: Tensor,
        gallery: Tensor,
        metric: str,
        reranking: Reranking,
        *,
        memory_mib: int = 512,
        device: torch.device | str = "cpu",
    ) -> None:
        self._query, self._gallery, self._metric = query, gallery, metric
        self._weight = reranking.weight
        self._memory_mib, self._device = memory_mib, device
        self._jaccard = _jaccard(query, gallery, metric, reranking, memory_mib, device)

    def jaccard(self, query: int) -> NDArray[np.float64]:
        """Return the Jaccard distances (G,) of a query alone, in 0..1."""
        return self._jaccard.of_query(query)

    def blocks(self) -> Iterator[Tensor]:
        """Yield (R, G) float32 on the device, the queries in their order: one buffer, which the next overwrites."""
        done = 0
        gallery = self._gallery.to(self._device)
        for block in distance_blocks(self._query, gallery, self._metric, memory_mib=self._memory_mib):
            self._mix(block, done)
            done += len(block)
            yield block

    def of_query(self, query: int) -> NDArray[np.float32]:
        """Return the distances (G,) of a query."""
        row = pairwise_distance(self._query[query : query + 1], self._gallery, self._metric)
        self._mix(row, query)
        return row[0].numpy(force=True)

    def _mix(self, block: Tensor, first: int) -> None:
        block.mul_(self._weight)
        for row, distances in enumerate(block, start=first):
            shared = (1 - self._weight) * self._jaccard.of_query(row)
            distances.add_(torch.from_numpy(shared.astype(np.float32)).to(block.device))


def rerank_distances(
    query_gallery: ArrayLike, query_query: ArrayLike, gallery_gallery: ArrayLike, reranking: Reranking
) -> NDArray[np.float32]:
    """Return re-ranked distances (Q, G) from given ones, in the form of the paper's published code.

    Given distances are squared and divided by the largest of their row. There, k1 does not count the image itself.

    Args:
        query_gallery: (Q, G).
        query_query: (Q, Q).
        gallery_gallery: (G, G).
        reranking: how.

    Raises:
        ValueError: shapes that do not fit, NaN, or a number of `reranking` is out of its range.
    """
    reranking.check()
    q_g, q_q, g_g = (np.asarray(part, dtype=np.float32) for part in (query_gallery, query_query, gallery_gallery))
    num_query, num_gallery = q_g.shape
    if q_q.shape != (num_query, num_query) or g_g.shape != (num_gallery, num_gallery):
        raise ValueError(f"expected distances (Q, G), (Q, Q) and (G, G), got {q_g.shape}, {q_q.shape} and {g_g.shape}")
    distances = np.block([[q_q, q_g], [q_g.T, g_g]]) ** 2
    if np.isnan(distances).any():
        raise ValueError("some distances are NaN: nothing can be ranked by them")
    distances /= distances.max(axis=1, keepdims=True)
    count = min(reranking.k1 + 1, len(distances))
    neighbours = _nearest(torch.from_numpy(distances), count)
    half = round(reranking.k1 / 2) + 1
    encoding = encode(neighbours, half, lambda rows, columns: distances[rows, columns], reranking.k2)
    jaccard = JaccardDistance(encoding, num_query)
    mixed = np.stack([jaccard.of_query(row) for row in range(num_query)]) * (1 - reranking.weight)
    return (mixed + reranking.weight * distances[:num_query, num_query:]).astype(np.float32)


def _jaccard(
    query: Tensor, gallery: Tensor, metric: str, reranking: Reranking, memory_mib: int, device: torch.device | str
) -> JaccardDistance:
    reranking.check()
    features = torch.cat((query, gallery)).float().to(device)
    if metric == "cosine":
        F.normalize(features, dim=1, out=features)
    count = min(reranking.k1, len(features))
    blocks = distance_blocks(features, features, "euclidean", memory_mib=memory_mib)
    neighbours = np.concatenate([_nearest(block, count) for block in blocks])

    def squared_distance(rows: Ints, columns: Ints) -> NDArray[np.floating]:
        result = torch.empty(columns.shape, dtype=torch.float32, device=device)
        for place, of_row in enumerate(torch.from_numpy(columns).to(device)):
            result[place] = (features[of_row] - features[int(rows[place, 0])]).square().sum(dim=1)
        return result.numpy(force=True)

    half = round(reranking.k1 / 2) + 1
    return JaccardDistance(encode(neighbours, half, squared_distance, min(reranking.k2, count)), len(query))


def _nearest(distances: Tensor, count: int) -> NDArray[np.int32]:
    """Return the columns of the `count` smallest entries of each row, from near to far."""
    return distances.topk(count, dim=1, largest=False).indices.numpy(force=True).astype(np.int32)
