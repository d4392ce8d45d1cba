"""The hooks of a run that a config describes, in the order in which they act."""

from typing import TYPE_CHECKING

from . import comm, hooks
from .hook_base import HookBase

if TYPE_CHECKING:
    from .defaults import DefaultTrainer


def default_hooks(trainer: "DefaultTrainer") -> list[HookBase | None]:
    """Return the hooks that `trainer.cfg` asks for; None stands where one is not asked for.

    Args:
        trainer: has its `cfg`, `ema` and `checkpointer` already.
    """
    cfg = trainer.cfg
    solver = cfg.SOLVER
    clip = solver.CLIP_GRADIENTS
    is_main = comm.is_main_process()
    return [
        hooks.StopOnSignal(),
        hooks.TimeLimit(solver.MAX_SECONDS) if solver.MAX_SECONDS else None,
        hooks.IterationTimer(),
        hooks.LRScheduler(),
        hooks.GradientClipping(clip.CLIP_VALUE, clip.CLIP_TYPE, clip.NORM_TYPE) if clip.ENABLED else None,
        trainer.ema,
        hooks.EvalHook(cfg.TEST.EVAL_PERIOD, trainer.evaluate_and_keep, eval_before_train=cfg.TEST.EVAL_AT_START)
        if cfg.DATASETS.TEST
        else None,
        hooks.ProgressBar(),
        # After all others, also those that are registered later: what they recorded is written, and then saved.
        hooks.PeriodicWriter(trainer.build_writers(), period=cfg.LOG_PERIOD) if is_main else None,
        hooks.PeriodicCheckpointer(
            trainer.checkpointer, solver.CHECKPOINT_PERIOD, max_to_keep=solver.CHECKPOINT_MAX_TO_KEEP or None
        )
        if is_main
        else None,
    ]
