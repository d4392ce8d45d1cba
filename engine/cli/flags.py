"""What the flags of a command line mean in the config, so that the config.yaml of a run says what ran."""

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
# Flags of which the second says nothing beside the first, with the reason.
_CONTRADICTIONS = (
    ("eval_only", "fast_dev_run", "nothing is trained"),
    ("eval_only", "overfit_batches", "nothing is trained"),
    ("eval_only", "no_validate", "it evaluates"),
    ("resume", "fast_dev_run", "a trial always begins anew, in a folder of its own"),
)
# What --no-validate sets to nothing, for this start only: config.yaml keeps what the config says.
CHANGED_BY_NO_VALIDATE = (
    "DATASETS.TEST", "DATASETS.VAL", "TEST.EXPECTED_RESULTS", "TEST.BEST", "SOLVER.EARLY_STOPPING.METRIC",
)  # fmt: skip
FAST_DEV_FOLDER = "fast_dev_run"


def check_flags(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other.

    Args:
        args: of `default_argument_parser`; a flag that is missing was not given.

    Raises:
        ValueError: two of them do.
    """
    for one, other, reason in _CONTRADICTIONS:
        if getattr(args, one, False) and getattr(args, other, False):
            raise ValueError(f"{_flag(one)} and {_flag(other)} contradict each other ({reason}): leave one of them out")


def apply_flags(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Set in `cfg`, in place, what the flags stand for.

    A flag that is another name of a key wins over the config file, but not over a KEY VALUE that says something else:
    that is an error. The flags that change a whole run, --no-validate and --fast-dev-run, win over both.

    Args:
        cfg: with the file and the overrides of `args` merged.
        args: of `default_argument_parser`; a flag that is missing was not given.

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
    """Make of `cfg`, in place, a run of `steps` steps that is evaluated and saved once, at its end."""
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
    """Return the folder of a --fast-dev-run, in which it cannot meet the run of `output_dir`."""
    return str(Path(output_dir) / FAST_DEV_FOLDER)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
