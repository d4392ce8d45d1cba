"""Hooks that a config describes in more than one key."""

import logging
import re
from pathlib import Path
from typing import Any

from steploop.config import CfgNode

from .. import hooks
from ..checkpoint import Checkpointer
from ..metrics.events import VALIDATION

logger = logging.getLogger(__name__)


def build_early_stopping(cfg: CfgNode) -> hooks.EarlyStopping | None:
    """Return the hook that SOLVER.EARLY_STOPPING describes; None without a metric.

    Raises:
        ValueError: one of its settings is out of its range.
    """
    options = cfg.SOLVER.EARLY_STOPPING
    if not options.METRIC:
        return None
    period = _measured_every(cfg, options.METRIC)
    if not period:
        logger.warning("SOLVER.EARLY_STOPPING cannot act: %s is measured at the end only", options.METRIC)
    return hooks.EarlyStopping(period, options.METRIC, options.MODE, options.PATIENCE, options.MIN_DELTA)


def build_best_checkpointers(cfg: CfgNode, checkpointer: Checkpointer) -> list[hooks.BestCheckpointer]:
    """Return a hook for each row of TEST.BEST.

    Raises:
        ValueError: a row is not [metric, mode], or two metrics would share a file.
    """
    found: list[hooks.BestCheckpointer] = []
    for row in cfg.TEST.BEST:
        if not isinstance(row, list | tuple) or len(row) != 2 or row[1] not in ("max", "min"):
            raise ValueError(
                f'TEST.BEST is a list of [metric, "max" or "min"], such as ["market1501/mAP", "max"]; got {row!r}'
            )
        metric, mode = row
        prefix = "model_best" if len(cfg.TEST.BEST) == 1 else "model_best_" + re.sub(r"[^\w.-]", "_", metric)
        found.append(hooks.BestCheckpointer(_measured_every(cfg, metric), checkpointer, metric, mode, prefix))
    return found


def build_precise_bn(trainer: Any) -> hooks.PreciseBN | None:
    """Return the hook that TEST.PRECISE_BN describes, with a loader of its own; None where it is not enabled."""
    if not trainer.cfg.TEST.PRECISE_BN.ENABLED:
        return None
    cfg = trainer.cfg.changed(**{"DATALOADER.CACHE": 0})  # the training's loader has one
    loader = trainer.build_train_loader(cfg)
    return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, trainer.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)


def _measured_every(cfg: CfgNode, metric: str) -> int:
    return cfg.TEST.LOSS_PERIOD if metric.startswith(VALIDATION) else cfg.TEST.EVAL_PERIOD


def build_profiler(cfg: CfgNode) -> hooks.TorchProfiler | None:
    """Return the hook that PROFILER.STEPS describes; None where it is ().

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
