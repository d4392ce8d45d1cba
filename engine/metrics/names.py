"""Names of scalars that the engine itself uses."""

import functools
import logging

logger = logging.getLogger(__name__)

# What the trainer, its hooks and its writers record. "iteration" is the column of metrics.json and metrics.csv.
RESERVED = frozenset(
    (
        "iteration", "total_loss", "data_time", "rank_data_time", "time", "eta_seconds", "lr", "momentum", "epoch",
        "grad_norm", "skipped_step",
    )
)  # fmt: skip

# Begins the new names of metrics that had a reserved one.
PREFIX = "metric/"


def renamed(name: str, source: str) -> str:
    """Return another name for a metric with a reserved one: "metric/" + name; a warning says so, once.

    One rule for everything that a model returns or an evaluation finds: it keeps its name, unless the engine records
    something else under that. Who puts a scalar into the EventStorage by hand chooses the name knowingly (a hook may
    record "time" in place of IterationTimer); there only "iteration", which is no scalar's, is renamed.

    Args:
        name: in `RESERVED`.
        source: what returned it, for the warning.
    """
    _warn(name, source)
    return PREFIX + name


@functools.cache
def _warn(name: str, source: str) -> None:
    logger.warning("%s: %r is a name of the engine's own; this metric is recorded as %r", source, name, PREFIX + name)
