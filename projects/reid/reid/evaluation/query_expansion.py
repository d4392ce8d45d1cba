"""Query expansion: each feature becomes a mean of its nearest neighbours."""

from typing import NamedTuple

import torch
from torch import Tensor

from .distances import distance_blocks, require_finite


class QueryExpansion(NamedTuple):
    """Alpha-weighted query expansion (arXiv:1711.02512, there for queries only).

    Attributes:
        times: how often all features are expanded.
        k: the number of features in a mean, the feature itself among them.
        alpha: a feature weighs its cosine similarity to the power of `alpha`.
    """

    times: int = 1
    k: int = 5
    alpha: float = 3.0

    def check(self) -> None:
        """Raise ValueError if a number is out of its range."""
        if self.times < 1 or self.k < 1 or self.alpha < 0:
            raise ValueError(
                f"expected TEST.AQE.QE_TIME >= 1, QE_K >= 1 and ALPHA >= 0, got {self.times}, {self.k} and {self.alpha}"
            )


def expand_features(
    query: Tensor,
    gallery: Tensor,
    expansion: QueryExpansion,
    *,
    memory_mib: int = 512,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Return expanded features of the queries and of the gallery.

    Neighbours come from both sets together. A feature f becomes ``sum(sim ** alpha * f_j) / k`` over the k features f_j
    (not normalised) of the largest cosine similarity; a negative similarity counts as 0.

    Args:
        query: (Q, D).
        gallery: (G, D).
        expansion: how.
        memory_mib: what this may take beside the features and the expanded ones (see `distance_blocks`).
        device: where similarities are computed.

    Returns:
        (Q, D) and (G, D) float32 on the CPU.

    Raises:
        ValueError: a number of `expansion` is out of its range, or the features do not fit or are not finite.
    """
    expansion.check()
    require_finite(query, "query")
    require_finite(gallery, "gallery")
    features = torch.cat((query, gallery)).float()
    for _ in range(expansion.times):
        features = _expand(features.to(device), expansion, memory_mib).cpu()
    return features[: len(query)], features[len(query) :]


def _expand(features: Tensor, expansion: QueryExpansion, memory_mib: int) -> Tensor:
    k = min(expansion.k, len(features))
    expanded = torch.empty_like(features)
    start = 0
    for block in distance_blocks(features, features, "cosine", memory_mib=memory_mib):
        distances, neighbours = block.topk(k, dim=1, largest=False)
        weights = (1 - distances).clamp(min=0) ** expansion.alpha
        rows = expanded[start : start + len(block)].zero_()
        for place in range(k):  # one neighbour of all rows at a time: (R, D) and not (R, k, D)
            rows.addcmul_(weights[:, place, None], features[neighbours[:, place]])
        rows.div_(expansion.k)
        start += len(block)
    return expanded
