"""Hooks that need more than one key of the config."""

import logging
import re
from pathlib import Path
from typing import Any

from steploop.config import CfgNode
from steploop.config.errors import nearest

from .. import hooks
from ..checkpoint import Checkpointer
from ..metrics.events import VALIDATION
from ..metrics.names import RESERVED

logger = logging.getLogger(__name__)


def build_early_stopping(cfg: CfgNode) -> hooks.EarlyStopping | None:
    """Return the hook that SOLVER.EARLY_STOPPING describes; None without a metric.

    Raises:
        ValueError: one of its settings is out of its range, or nothing measures the metric.
    """
    options = cfg.SOLVER.EARLY_STOPPING
    if not options.METRIC:
        return None
    _check_measured(cfg, options.METRIC, "SOLVER.EARLY_STOPPING.METRIC")
    period = _measured_every(cfg, options.METRIC)
    if not period:
        logger.warning("SOLVER.EARLY_STOPPING cannot act: %s is measured at the end only", options.METRIC)
    return hooks.EarlyStopping(period, options.METRIC, options.MODE, options.PATIENCE, options.MIN_DELTA)


def build_best_checkpointers(cfg: CfgNode, checkpointer: Checkpointer) -> list[hooks.BestCheckpointer]:
    """Return a hook for each row of TEST.BEST.

    Raises:
        ValueError: a row is not [metric, mode], two metrics would share a file, or nothing measures one.
    """
    found: list[hooks.BestCheckpointer] = []
    for row in cfg.TEST.BEST:
        if not isinstance(row, list | tuple) or len(row) != 2 or row[1] not in ("max", "min"):
            raise ValueError(
                f'TEST.BEST is a list of [metric, "max" or "min"], such as ["market1501/mAP", "max"]; got {row!r}'
            )
        metric, mode = row
        _check_measured(cfg, metric, "TEST.BEST")
        prefix = "model_best" if len(cfg.TEST.BEST) == 1 else "model_best_" + re.sub(r"[^\w.-]", "_", metric)
        found.append(hooks.BestCheckpointer(_measured_every(cfg, metric), checkpointer, metric, mode, prefix))
    return found


def build_precise_bn(trainer: Any) -> hooks.PreciseBN | None:
    """Return the hook that TEST.PRECISE_BN describes, with a loader of its own; None where it is not enabled."""
    if not trainer.cfg.TEST.PRECISE_BN.ENABLED:
        return None
    # The training loader has a cache; a second one would double the memory.
    cfg = trainer.cfg.changed(**{"DATALOADER.CACHE": 0})
    loader = trainer.build_train_loader(cfg)
    return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, trainer.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)


def _check_measured(cfg: CfgNode, metric: str, key: str) -> None:
    """Refuse a metric of which the config alone says that it will never exist; a hook may record any other name."""
    if metric.startswith(VALIDATION) and not cfg.DATASETS.VAL:
        raise ValueError(f"{key} names {metric!r}, and DATASETS.VAL is empty: name the set that it is measured on")
    if metric in RESERVED - {"total_loss", "grad_norm"}:
        raise ValueError(f"{key} names {metric!r}, which says nothing of how good a model is: name a loss or a result")
    name, slash, _ = metric.partition("/")
    sets = cfg.DATASETS.TEST
    if len(sets) > 1 and slash and name not in sets and (close := nearest(name, sets)):
        raise ValueError(f"{key} names {metric!r}, and DATASETS.TEST has no {name!r}; did you mean {close!r}?")
    if slash and not sets and name in cfg.DATASETS.TRAIN:
        raise ValueError(f"{key} names {metric!r}, and DATASETS.TEST is empty: name the set that it is measured on")


def _measured_every(cfg: CfgNode, metric: str) -> int:
    return cfg.TEST.LOSS_PERIOD if metric.startswith(VALIDATION) else cfg.TEST.EVAL_PERIOD


def build_profiler(cfg: CfgNode) -> hooks.TorchProfiler | None:
    """Return the hook that PROFILER.STEPS describes; None if it is ().

    Raises:
        ValueError: the steps are not (first, end).
    """
    steps = cfg.PROFILER.STEPS
    if not steps:
        return None
    if len(steps) != 2 or not 0 <= steps[0] < steps[1]:
        raise ValueError(f"PROFILER.STEPS is (first, end) with 0 <= first < end, or (); got {steps}")
    first, end = steps
    return hooks.TorchProfiler(lambda trainer: first <= trainer.iter < end, str(Path(cfg.OUTPUT_DIR) / "profiler"))
