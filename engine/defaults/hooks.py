"""The hooks of a run that a config describes, in the order in which they act."""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from steploop.config import CfgNode

from .. import hooks
from ..checkpoint import Checkpointer
from ..distributed import comm
from ..metrics.events import VALIDATION
from ..train_loop import HookBase
from .epochs import iterations_per_epoch

if TYPE_CHECKING:
    from .trainer import DefaultTrainer

logger = logging.getLogger(__name__)


def default_hooks(trainer: "DefaultTrainer") -> list[HookBase | None]:
    """Return the hooks that `trainer.cfg` asks for; None stands where one is not asked for.

    Args:
        trainer: has its `cfg`, `ema`, `early_stopping` and `checkpointer` already.

    Raises:
        ValueError: one of the settings cannot be, such as a layer to freeze that the model has not.
    """
    cfg = trainer.cfg
    solver = cfg.SOLVER
    clip = solver.CLIP_GRADIENTS
    is_main = comm.is_main_process()
    best = _best_checkpointers(cfg, trainer.checkpointer)  # a wrong row is an error in every process
    per_epoch = iterations_per_epoch(trainer.data_loader)
    return [
        hooks.StopOnSignal(),
        hooks.TimeLimit(solver.MAX_SECONDS) if solver.MAX_SECONDS else None,
        hooks.IterationTimer(),
        hooks.TimeSplit(cfg.LOG_PERIOD) if cfg.LOG_TIME_SPLIT else None,
        hooks.LRScheduler(),
        hooks.EpochRecorder(per_epoch, cfg.LOG_PERIOD) if per_epoch else None,
        hooks.GradientClipping(clip.CLIP_VALUE, clip.CLIP_TYPE, clip.NORM_TYPE) if clip.ENABLED else None,
        hooks.LayerFreeze(trainer.model, cfg.MODEL.FREEZE_LAYERS, solver.FREEZE_ITERS)
        if cfg.MODEL.FREEZE_LAYERS
        else None,
        _profiler(cfg),
        hooks.TorchMemoryStats(cfg.PROFILER.MEMORY_PERIOD) if cfg.PROFILER.MEMORY_PERIOD else None,
        trainer.ema,
        # Before what measures with these statistics.
        _precise_bn(trainer) if cfg.TEST.PRECISE_BN.ENABLED else None,
        hooks.ValidationLoss(
            cfg.TEST.LOSS_PERIOD, trainer.model, trainer.build_val_loader(cfg), precision=trainer._trainer.precision
        )
        if cfg.DATASETS.VAL
        else None,
        hooks.EvalHook(cfg.TEST.EVAL_PERIOD, trainer.evaluate_and_keep, eval_before_train=cfg.TEST.EVAL_AT_START)
        if cfg.DATASETS.TEST
        else None,
        *(best if is_main else ()),
        trainer.early_stopping,
        hooks.ProgressBar(),
        # After all others, also those that are registered later: what they recorded is written, and then saved.
        hooks.PeriodicWriter(trainer.build_writers(), period=cfg.LOG_PERIOD) if is_main else None,
        hooks.PeriodicCheckpointer(
            trainer.checkpointer, solver.CHECKPOINT_PERIOD, max_to_keep=solver.CHECKPOINT_MAX_TO_KEEP or None
        )
        if is_main
        else None,
    ]


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


def _best_checkpointers(cfg: CfgNode, checkpointer: Checkpointer) -> list[HookBase]:
    """Return a hook for each row of TEST.BEST.

    Raises:
        ValueError: a row is not [metric, mode], or two metrics would share a file.
    """
    found: list[HookBase] = []
    for row in cfg.TEST.BEST:
        if not isinstance(row, list | tuple) or len(row) != 2 or row[1] not in ("max", "min"):
            raise ValueError(
                f'TEST.BEST is a list of [metric, "max" or "min"], such as ["market1501/mAP", "max"]; got {row!r}'
            )
        metric, mode = row
        prefix = "model_best" if len(cfg.TEST.BEST) == 1 else "model_best_" + re.sub(r"[^\w.-]", "_", metric)
        found.append(hooks.BestCheckpointer(_measured_every(cfg, metric), checkpointer, metric, mode, prefix))
    return found


def _precise_bn(trainer: "DefaultTrainer") -> HookBase:
    cfg = trainer.cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.CACHE = 0  # the training's loader has one
    loader = trainer.build_train_loader(cfg)
    return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, trainer.model, loader, cfg.TEST.PRECISE_BN.NUM_ITER)


def _measured_every(cfg: CfgNode, metric: str) -> int:
    return cfg.TEST.LOSS_PERIOD if metric.startswith(VALIDATION) else cfg.TEST.EVAL_PERIOD


def _profiler(cfg: CfgNode) -> HookBase | None:
    steps = cfg.PROFILER.STEPS
    if not steps:
        return None
    if len(steps) != 2 or not 0 <= steps[0] < steps[1]:
        raise ValueError(f"PROFILER.STEPS is (first, end) with 0 <= first < end, or (); got {steps}")
    first, end = steps
    return hooks.TorchProfiler(lambda trainer: first <= trainer.iter < end, str(Path(cfg.OUTPUT_DIR) / "profiler"))
