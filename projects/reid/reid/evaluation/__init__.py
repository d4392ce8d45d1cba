"""How well queries find their identities in a gallery."""

from .distances import METRICS, distance_blocks, pairwise_distance
from .draws import redrawn_retrieval, single_shot_retrieval
from .measure import RankingOptions, Retrieval, measure
from .query_expansion import QueryExpansion, expand_features
from .ranking import Ranking, evaluate_retrieval, rank_distances
from .reid_evaluator import ReidEvaluator
from .rerank import Reranked, Reranking, rerank_distances
from .result import RetrievalResult
from .roc import Verification

__all__ = [
    "METRICS",
    "QueryExpansion",
    "Ranking",
    "RankingOptions",
    "ReidEvaluator",
    "Reranked",
    "Reranking",
    "Retrieval",
    "RetrievalResult",
    "Verification",
    "distance_blocks",
    "evaluate_retrieval",
    "expand_features",
    "measure",
    "pairwise_distance",
    "rank_distances",
    "redrawn_retrieval",
    "rerank_distances",
    "single_shot_retrieval",
]
