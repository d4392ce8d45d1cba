"""How well queries find their identities in a gallery."""

from .distances import METRICS, distance_blocks, pairwise_distance
from .ranking import Ranking, evaluate_retrieval, rank_distances
from .reid_evaluator import ReidEvaluator, Retrieval
from .result import RetrievalResult

__all__ = [
    "METRICS",
    "Ranking",
    "ReidEvaluator",
    "Retrieval",
    "RetrievalResult",
    "distance_blocks",
    "evaluate_retrieval",
    "pairwise_distance",
    "rank_distances",
]
