"""A config written for one number of processes, run with another."""

import logging

from steploop.config import CfgNode

from .epochs import IN_EPOCHS

logger = logging.getLogger(__name__)


def rescale_for_world_size(cfg: CfgNode, world_size: int) -> CfgNode:
    """Return `cfg` adapted to `world_size` processes by the linear rule (arXiv:1706.02677).

    With SOLVER.REFERENCE_WORLD_SIZE = r and scale = world_size / r: batch size and learning rate are multiplied by
    the scale, iterations (MAX_ITER, WARMUP_ITERS, DELAY_ITERS, FREEZE_ITERS, STEPS and the periods) are divided by it;
    those that are not 0 stay at least 1. Keys in epochs (see `epochs_to_iterations`) and the iterations of a trial run
    (FAST_DEV_RUN) do not change. With r = 0 or r = world_size, `cfg` itself is returned; otherwise a copy, frozen if
    `cfg` is, with r = world_size.

    Raises:
        ValueError: IMS_PER_BATCH is not divisible by r.
    """
    reference = cfg.SOLVER.REFERENCE_WORLD_SIZE
    if reference in (0, world_size):
        return cfg
    if cfg.SOLVER.IMS_PER_BATCH % reference:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH ({cfg.SOLVER.IMS_PER_BATCH}) must be divisible by "
            f"SOLVER.REFERENCE_WORLD_SIZE ({reference})"
        )
    scale = world_size / reference

    def fewer(iterations: int) -> int:
        if cfg.FAST_DEV_RUN:  # its length was given on the command line
            return iterations
        return max(round(iterations / scale), 1) if iterations else 0  # a period of 0 would mean never

    solver, test = cfg.SOLVER, cfg.TEST
    values = {
        "SOLVER.REFERENCE_WORLD_SIZE": world_size,
        "SOLVER.IMS_PER_BATCH": round(solver.IMS_PER_BATCH * scale),
        "SOLVER.BASE_LR": solver.BASE_LR * scale,
        "SOLVER.FREEZE_ITERS": fewer(solver.FREEZE_ITERS),
    }
    values |= {f"SOLVER.{key}": fewer(solver[key]) for key, in_epochs in IN_EPOCHS.items() if not solver[in_epochs]}
    if not solver.MAX_EPOCH:
        values |= {
            "SOLVER.STEPS": tuple(fewer(step) for step in solver.STEPS),
            "SOLVER.SAVE_POINTS": tuple(fewer(step) for step in solver.SAVE_POINTS),
            "SOLVER.CHECKPOINT_PERIOD": fewer(solver.CHECKPOINT_PERIOD),
            "TEST.EVAL_PERIOD": fewer(test.EVAL_PERIOD),
            "TEST.LOSS_PERIOD": fewer(test.LOSS_PERIOD),
        }
    cfg = cfg.changed(**values)
    solver = cfg.SOLVER
    logger.info(
        "Config written for %d processes, run with %d: batch size %d, learning rate %g, %s",
        reference,
        world_size,
        solver.IMS_PER_BATCH,
        solver.BASE_LR,
        ", ".join(f"{key} {solver[key]}" for key, in_epochs in IN_EPOCHS.items() if not solver[in_epochs]),
    )
    return cfg
