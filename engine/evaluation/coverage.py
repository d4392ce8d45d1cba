"""Whether figures are of the whole test set, and not of one process's part of it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..distributed import comm
from .results import flatten_results_dict, number_or_none

logger = logging.getLogger(__name__)

_REMEDY = (
    "An evaluator gathers what all processes have processed, and returns figures in the main one only; "
    "steploop.engine.GatheredEvaluator does that"
)


def check_coverage(
    results: Mapping[str, Any], counts: Sequence[int | None], size: int | None, evaluator: Any, parts: Sequence[Any]
) -> None:
    """Look whether all samples of a set are in the results; every process must call it.

    Args:
        results: what the evaluator returned in this process.
        counts: the samples that each process has seen; None where one could not tell.
        size: of the set; None if it is not known.
        evaluator: named in messages.
        parts: the evaluators that it consists of.

    Raises:
        ValueError: it returned other figures in other processes: each has evaluated its part.
    """
    name = ", ".join(type(part).__name__ for part in parts) or type(evaluator).__name__
    texts = {key: repr(_value(value)) for key, value in flatten_results_dict(results).items()}
    sizes, ranks = zip(*comm.all_gather((size, texts)))
    gathered = [part.num_samples for part in parts if getattr(part, "num_samples", None) is not None]
    seen = gathered or ([_sum(counts)] if len(counts) > 1 else [])
    if comm.is_main_process() and None not in sizes:
        # Each process may have a data set of its own.
        wrong = [number for number in seen if number is not None and number not in (size, sum(sizes))]
        if wrong:
            logger.warning(
                "%s has seen %d samples (by process: %s), and the test set has %d: the figures are not its own. "
                "A loader gives each sample to one process, and a GatheredEvaluator has one record for each",
                name, wrong[0], ", ".join(map(str, counts)), size,
            )  # fmt: skip
    others = [texts for texts in ranks[1:] if texts]
    if any(texts != ranks[0] for texts in others):
        raise ValueError(
            f"{name} returns other figures in other processes, of each one's part of the samples (by rank: "
            f"{dict(enumerate(ranks))}). {_REMEDY}"
        )
    if others and comm.is_main_process():
        logger.warning("%s returns figures in each process: are they of its own samples only? %s", name, _REMEDY)


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _value(value: Any) -> Any:
    number = number_or_none(value)
    return value if number is None else number
