"""Writes the flags of a command line into the config, so that the config.yaml of a run describes it completely."""

import argparse
from pathlib import Path

from steploop.config import CfgNode
from steploop.config.merge import read_overrides
from steploop.config.nested import dotted_names

# Flags that are other names of a key, which an override of that key must not contradict.
NAMES_OF_KEYS = {
    "work_dir": "OUTPUT_DIR",
    "load_from": "MODEL.WEIGHTS",
    "seed": "SEED",
    "deterministic": "DETERMINISTIC",
    "overfit_batches": "DATALOADER.OVERFIT_BATCHES",
}
# Pairs of flags of which the second has no effect with the first, and the reason.
_CONTRADICTIONS = (
    ("eval_only", "fast_dev_run", "nothing is trained"),
    ("eval_only", "overfit_batches", "nothing is trained"),
    ("eval_only", "no_validate", "it evaluates"),
    ("resume", "fast_dev_run", "a trial run always starts again, in its own folder"),
)
# What --no-validate sets to nothing, for this start only: config.yaml keeps what the config says.
CHANGED_BY_NO_VALIDATE = (
    "DATASETS.TEST", "DATASETS.VAL", "TEST.EXPECTED_RESULTS", "TEST.BEST", "SOLVER.EARLY_STOPPING.METRIC",
)  # fmt: skip
FAST_DEV_FOLDER = "fast_dev_run"


def check_flags(args: argparse.Namespace) -> None:
    """Check that no flags contradict each other.

    Args:
        args: of `default_argument_parser`; a missing flag counts as not given.

    Raises:
        ValueError: two flags contradict each other.
    """
    for one, other, reason in _CONTRADICTIONS:
        if getattr(args, one, False) and getattr(args, other, False):
            raise ValueError(f"{_flag(one)} and {_flag(other)} contradict each other ({reason}): leave one of them out")


def apply_flags(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Set the keys that the flags stand for in `cfg`, in place.

    A flag that is another name of a key overrides the config file; a KEY VALUE with another value is an error. The
    flags that change several keys, --no-validate and --fast-dev-run, override both.

    Args:
        cfg: the config, after the file and the overrides of `args` were merged.
        args: of `default_argument_parser`; a missing flag counts as not given.

    Raises:
        ValueError: a flag and an override set one key to two values.
    """
    overridden = {key for layer in read_overrides(cfg, args.opts) for key in dotted_names(layer.values)}
    for name, key in NAMES_OF_KEYS.items():
        value = getattr(args, name, None)
        if value is None or value is False:  # not given
            continue
        section, _, last = key.rpartition(".")
        node = cfg[section] if section else cfg
        if key in overridden and node[last] != value:
            raise ValueError(f"{_flag(name)} sets {key} to {value!r}, and {key} {node[last]!r} follows: say it once")
        node[last] = value
    if getattr(args, "no_validate", False):
        cfg.DATASETS.TEST = cfg.DATASETS.VAL = ()
        cfg.TEST.EXPECTED_RESULTS, cfg.TEST.BEST, cfg.SOLVER.EARLY_STOPPING.METRIC = [], [], ""
    if steps := getattr(args, "fast_dev_run", 0):
        shorten(cfg, steps)


def shorten(cfg: CfgNode, steps: int) -> None:
    """Change `cfg`, in place, to a run of `steps` steps that is evaluated and saved once, at its end."""
    solver, test = cfg.SOLVER, cfg.TEST
    cfg.FAST_DEV_RUN = solver.MAX_ITER = steps
    solver.WARMUP_ITERS = min(solver.WARMUP_ITERS, steps)
    solver.MAX_EPOCH, solver.STEPS, solver.DELAY_ITERS = 0, (), 0
    solver.WARMUP_EPOCHS = solver.DELAY_EPOCHS = 0.0
    solver.CHECKPOINT_PERIOD = test.EVAL_PERIOD = test.LOSS_PERIOD = 0
    solver.EARLY_STOPPING.METRIC = ""
    test.PRECISE_BN.NUM_ITER = min(test.PRECISE_BN.NUM_ITER, steps)
    test.EVAL_AT_START = False
    test.EXPECTED_RESULTS = []
    cfg.LOG_PERIOD = 1


def trial_folder(output_dir: str) -> str:
    """Return the folder of a --fast-dev-run: a separate one, so that it does not change the run in `output_dir`."""
    return str(Path(output_dir) / FAST_DEV_FOLDER)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
