"""A config written in epochs, run in iterations."""

import logging
from collections.abc import Iterable
from typing import Any

from steploop.config import CfgNode, get_cfg

logger = logging.getLogger(__name__)

# Keys of SOLVER that count iterations -> the keys that set the same length in epochs.
IN_EPOCHS = {"MAX_ITER": "MAX_EPOCH", "WARMUP_ITERS": "WARMUP_EPOCHS", "DELAY_ITERS": "DELAY_EPOCHS"}
# Keys that count epochs where MAX_EPOCH is set.
_PERIODS = ("SOLVER.CHECKPOINT_PERIOD", "TEST.EVAL_PERIOD", "TEST.LOSS_PERIOD")


def iterations_per_epoch(data_loader: Any) -> float | None:
    """Return the number of iterations of one epoch, > 0, not always whole; None if the loader does not know it.

    Args:
        data_loader: knows it if it has an `epoch_length` and a `batch_size` of one step, both in samples over all
            processes.
    """
    length, batch_size = (getattr(data_loader, name, None) for name in ("epoch_length", "batch_size"))
    return length / batch_size if length and batch_size else None


def epochs_to_iterations(cfg: CfgNode, per_epoch: float | None) -> CfgNode:
    """Return `cfg` with every length in iterations.

    SOLVER.MAX_EPOCH, WARMUP_EPOCHS and DELAY_EPOCHS, where they are not 0, take the place of MAX_ITER, WARMUP_ITERS and
    DELAY_ITERS; with MAX_EPOCH, also SOLVER.STEPS, SAVE_POINTS, CHECKPOINT_PERIOD, TEST.EVAL_PERIOD and
    TEST.LOSS_PERIOD are epochs. n epochs become the nearest number of iterations, at least 1. Where nothing is in
    epochs, `cfg` itself is returned; otherwise a copy, frozen if `cfg` is, whose epochs are 0.

    Args:
        cfg: the config.
        per_epoch: iterations of one epoch; None if they are not known.

    Raises:
        ValueError: a length is negative, is given in both units (the one in iterations is neither 0 nor its default),
            or cannot be converted because `per_epoch` is None.
    """
    if per_epoch is not None:
        logger.info("One epoch is %g iterations", per_epoch)
    given = {key: name for key, name in IN_EPOCHS.items() if cfg.SOLVER[name]}
    for key, name in given.items():
        _check(cfg, key, name)
    if not given:
        return cfg
    if per_epoch is None:
        raise ValueError(
            f"{_list(given.values())} count epochs, but nothing tells how long one is (the data loader has no "
            f"epoch_length and batch_size): set {_list(given)} instead"
        )

    def iterations(epochs: float) -> int:
        return max(round(epochs * per_epoch), 1) if epochs else 0

    values: dict[str, Any] = {}
    for key, name in given.items():
        values |= {f"SOLVER.{key}": iterations(cfg.SOLVER[name]), f"SOLVER.{name}": 0}
    if "MAX_ITER" in given:
        for points in ("STEPS", "SAVE_POINTS"):
            values[f"SOLVER.{points}"] = tuple(iterations(step) for step in cfg.SOLVER[points])
        for period in _PERIODS:
            section, key = period.split(".")
            values[period] = iterations(cfg[section][key])
            if cfg[section][key] > cfg.SOLVER.MAX_EPOCH:
                logger.warning("%s is %d epochs, more than the run has; 0 says so", period, cfg[section][key])
    converted = cfg.changed(**values)
    logger.info(
        "Written in epochs, run in iterations: %s",
        ", ".join(f"{name} {cfg.SOLVER[name]:g} is {key} {converted.SOLVER[key]}" for key, name in given.items()),
    )
    return converted


def _check(cfg: CfgNode, key: str, name: str) -> None:
    iterations, epochs = cfg.SOLVER[key], cfg.SOLVER[name]
    if epochs < 0:
        raise ValueError(f"SOLVER.{name} is a number of epochs, or 0 for none; got {epochs}")
    if iterations not in (0, get_cfg().SOLVER[key]):
        raise ValueError(
            f"SOLVER.{name} ({epochs:g}) and SOLVER.{key} ({iterations}) say the same thing twice: "
            f"set SOLVER.{name} to 0 to count iterations, or SOLVER.{key} to 0 to count epochs"
        )


def _list(keys: Iterable[str]) -> str:
    return ", ".join(f"SOLVER.{key}" for key in keys)
