"""Finds and compares the metric by which a hook decides, such as the best checkpoint's."""

import logging
import operator
from collections.abc import Callable

from steploop.config.errors import unknown

from ..metrics.events import EventStorage

logger = logging.getLogger(__name__)

_BETTER: dict[str, Callable[[float, float], bool]] = {"max": operator.gt, "min": operator.lt}


def comparison(mode: str) -> Callable[[float, float], bool]:
    """Return the comparison "is better than" for a mode, "max" or "min".

    Raises:
        ValueError: the mode is neither "max" nor "min".
    """
    if mode not in _BETTER:
        raise ValueError(f'the mode of a metric is "max" or "min"; got {mode!r}')
    return _BETTER[mode]


def find_metric(storage: EventStorage, name: str, asked_by: str) -> tuple[float, int] | None:
    """Return the last value of a metric and its iteration; if it was never recorded, log a warning and return None."""
    latest = storage.latest()
    if name not in latest:
        logger.warning(
            "%s: %s. Is it registered after the hook that measures it?",
            asked_by,
            unknown("metric", name, sorted(latest)),
        )
        return None
    return latest[name]
