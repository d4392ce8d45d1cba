"""Prints the schedule of a config: the iterations at which it changes as a table, the learning rate as a chart.

    python -m steploop.engine.schedule --config-file x.yaml --script train_net.py SOLVER.WARMUP_ITERS 500 --png x.png

The learning rate is that of a weight; SOLVER.BIAS_LR_FACTOR and the like multiply it for others. Without --script,
which names the training script, only the section SOLVER of the file is read, over the engine's own defaults.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from tabulate import tabulate
from torch import nn

from steploop.config import CfgNode
from steploop.config.bases import load_layers
from steploop.config.merge import merge

from ..defaults.config import build_default_config
from ..defaults.epochs import IN_EPOCHS, epochs_to_iterations
from ..solver import build_lr_scheduler, build_optimizer
from ..solver.momentum import momentum_of
from .curves import draw_curves, text_chart
from .errors import clear_errors
from .script import load_script

WIDTH = 64  # of the chart, in characters


class Point(NamedTuple):
    """The values that the step of one iteration uses."""

    iteration: int
    lr: float
    momentum: float | None  # None if it is constant


def read_config(path: str, opts: Sequence[str], script: str = "") -> CfgNode:
    """Return the config of a file and overrides.

    Args:
        path: the YAML file; "" for the defaults alone.
        opts: ``[KEY, VALUE, ...]``.
        script: the training script, which adds a project's keys; "" reads only the file's section SOLVER.

    Raises:
        ValueError, KeyError, TypeError, FileNotFoundError: the config is wrong, with the place and the remedy.
    """
    cfg = build_default_config()
    if script:
        for add_keys in load_script(script)[1]:
            add_keys(cfg)
        if path:
            cfg.merge_from_file(path)
    elif path:
        for layer in load_layers(path):
            merge(cfg, replace(layer, values={key: layer.values[key] for key in ("SOLVER",) if key in layer.values}))
    cfg.merge_from_list(opts)
    return cfg


def build_course(cfg: CfgNode) -> Callable[[int], Point]:
    """Return a function that returns the learning rate and the momentum of a weight at any iteration."""
    optimizer = build_optimizer(cfg, nn.Linear(1, 1))
    scheduler = build_lr_scheduler(cfg, optimizer)

    def course(iteration: int) -> Point:
        scheduler.step(iteration)
        group = optimizer.param_groups[0]
        return Point(iteration, group["lr"], momentum_of(group) if scheduler.cycle_momentum else None)

    return course


def turning_points(cfg: CfgNode, extra: int = 0) -> list[int]:
    """Return the iterations at which the schedule changes its course, with `extra` evenly spaced ones."""
    solver, last = cfg.SOLVER, cfg.SOLVER.MAX_ITER - 1
    found = {0, last, *(last * index // (extra + 1) for index in range(1, extra + 1))}
    if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        found |= {near for step in solver.STEPS for near in (step - 1, step)}
    if "OneCycle" in (solver.MOMENTUM_SCHEDULE, solver.LR_SCHEDULER_NAME.removesuffix("LR")):
        found.add(round(solver.ONE_CYCLE.PCT_START * solver.MAX_ITER) - 1)
    if solver.LR_SCHEDULER_NAME != "OneCycleLR":
        found |= {solver.WARMUP_ITERS, solver.DELAY_ITERS}
    return sorted(iteration for iteration in found if 0 <= iteration <= last)


def format_table(points: Sequence[Point], per_epoch: float | None = None) -> str:
    """Return a table with a row for each point; with the epoch if the iterations of one are known."""
    columns = {"iteration": [str(point.iteration) for point in points]}
    if per_epoch is not None:
        columns["epoch"] = [f"{point.iteration / per_epoch:.2f}" for point in points]
    columns["lr"] = [f"{point.lr:.6g}" for point in points]
    if points[0].momentum is not None:
        columns["momentum"] = [f"{point.momentum:.4g}" for point in points]
    return tabulate(columns, headers="keys", disable_numparse=True, stralign="right")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="", metavar="FILE", help="the YAML file that describes the run")
    parser.add_argument("--script", default="", metavar="FILE", help="the training script: its keys and defaults hold")
    parser.add_argument("--iterations-per-epoch", type=_positive, metavar="N", help="as the log of a run tells it")
    parser.add_argument("--points", type=int, default=0, metavar="N", help="more rows of the table")
    parser.add_argument("--png", default="", metavar="FILE", help="also draw the schedule here")
    parser.add_argument("opts", nargs="*", metavar="KEY VALUE", help="settings that override the config file, as pairs")
    return parser


def main() -> None:
    """Read the command line, print the table and the chart, draw the picture."""
    parser = build_parser()
    args = parser.parse_args()
    per_epoch = args.iterations_per_epoch
    with clear_errors():
        cfg = read_config(args.config_file, args.opts, args.script)
        if per_epoch is None and any(cfg.SOLVER[name] for name in IN_EPOCHS.values()):
            parser.error("the config counts epochs: say how long one is (--iterations-per-epoch)")
        cfg = epochs_to_iterations(cfg, per_epoch)
        course, last = build_course(cfg), cfg.SOLVER.MAX_ITER - 1
        print(format_table([course(iteration) for iteration in turning_points(cfg, args.points)], per_epoch))
        print("\n" + text_chart([course(last * column // (WIDTH - 1)).lr for column in range(WIDTH)]))
        if args.png:
            points = [course(last * column // 800) for column in range(801)]
            moves = points[0].momentum is not None
            curves = {name: [getattr(point, name) for point in points] for name in ["lr", "momentum"][: 1 + moves]}
            draw_curves(curves, args.png, f"iteration 0 .. {last}")
            print(f"drawn in {args.png}")


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


if __name__ == "__main__":
    main()
