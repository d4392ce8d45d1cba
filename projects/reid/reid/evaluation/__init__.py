"""How well queries find their identities in a gallery."""

from .distances import METRICS, pairwise_distance
from .ranking import RetrievalResult, evaluate_retrieval, rank_distances
from .reid_evaluator import ReidEvaluator, Retrieval

__all__ = [
    "METRICS",
    "ReidEvaluator",
    "Retrieval",
    "RetrievalResult",
    "evaluate_retrieval",
    "pairwise_distance",
    "rank_distances",
]
