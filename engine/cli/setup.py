"""From a command line to a run that may begin."""

import argparse
import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from steploop.config import CfgNode, ConfigError, diff_configs, format_diff, load_yaml, resolve_device

from ..checkpoint.resume import holds_checkpoint, is_checkpoint_of_a_run
from ..defaults.acceleration import set_float32_precision
from ..defaults.config import build_default_config
from ..distributed import comm
from ..distributed.agreement import check_same_config, from_main
from ..distributed.launchers import count_restarts
from ..run.environment import collect_env_info
from ..run.folder import hold
from ..run.logger import close_logger, setup_logger
from ..run.seeding import enable_determinism, seed_all_rng
from ..run.start import RunStart, begin_later
from .flags import CHANGED_BY_NO_VALIDATE, apply_flags, check_flags, trial_folder

logger = logging.getLogger(__name__)


def setup_config(args: argparse.Namespace, *add_keys: Callable[[CfgNode], None]) -> CfgNode:
    """Return the frozen config of a command line: defaults, then the file, the overrides, and what the flags stand for.

    What was left open is filled in where it can be known before any process is started: OUTPUT_DIR (output/<name of
    the config file>) and MODEL.DEVICE ("auto"). With --print-config, the config is printed and the program ends. A
    program that a scheduler started again is told to resume, except a trial (--fast-dev-run).

    Args:
        args: of `default_argument_parser`.
        add_keys: functions that add a project's keys, and those of the parts that it uses, to `build_default_config`.

    Raises:
        ValueError, KeyError, TypeError, FileNotFoundError: the config is wrong, with the place and the remedy; or
            flags contradict each other or an override.
    """
    check_flags(args)
    cfg = build_default_config()
    for add in add_keys:
        add(cfg)
    args.default_config = cfg.to_dict()
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    args.as_given = {key: _value_at(cfg, key) for key in (*CHANGED_BY_NO_VALIDATE, "MODEL.DEVICE")}
    apply_flags(cfg, args)
    if not cfg.OUTPUT_DIR:
        cfg.OUTPUT_DIR = str(Path("output", Path(args.config_file).stem if args.config_file else "default"))
    cfg.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR).expanduser())
    if getattr(args, "fast_dev_run", 0):
        cfg.OUTPUT_DIR = trial_folder(cfg.OUTPUT_DIR)
    if args.eval_only and not cfg.DATASETS.TEST:
        raise ValueError("--eval-only evaluates on the sets of DATASETS.TEST, which is empty: name at least one")
    cfg.MODEL.DEVICE = str(resolve_device(cfg.MODEL.DEVICE, args.num_gpus))
    cfg.freeze()
    # A trial always starts again: what its folder holds may be an earlier trial's.
    args.resume = args.resume or (count_restarts(os.environ) > 0 and not getattr(args, "fast_dev_run", 0))
    if getattr(args, "print_config", False):
        print(cfg.dump(), end="")
        sys.exit(0)
    return cfg


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Make the output folder, start logging, tell what runs where, and seed everything.

    Called in every process, before anything random is made. The folder is taken for this process, and nothing in it is
    changed before the training begins (`TrainerBase.train`): a run that is refused until then leaves an older one as it
    was. When the training begins, config.yaml is written, and a run that neither `args` resume nor only evaluate is
    moved to ``previous/``. A negative SEED is replaced, in `cfg`, by one that the main process draws, or on a resume by
    the one that the run began with. What the config changed since is logged.

    Args:
        cfg: the config; its SEED may be changed even if it is frozen.
        args: of `default_argument_parser`.

    Raises:
        RuntimeError: another process trains in this folder; the error names it.
        ValueError: the processes have different configs; the error names the keys and the ranks.
    """
    check_same_config({**cfg, "--resume": args.resume, "--eval-only": args.eval_only})
    output_dir = Path(cfg.OUTPUT_DIR).expanduser()
    resumes = from_main(lambda: _take_folder(output_dir, cfg, args))
    close_logger()  # an earlier run of this process may still write where its folder was moved to
    rank = comm.get_rank()
    setup_logger(str(output_dir), distributed_rank=rank, hold=not args.eval_only)
    logger.info("Rank of this process: %d of %d", rank, comm.get_world_size())
    logger.info("Environment:\n%s", collect_env_info())
    logger.info("Command line: %s", " ".join(sys.argv))
    earlier = from_main(lambda: _earlier_config(output_dir)) if args.resume else {}
    _fix_seed(cfg, earlier.get("SEED"))
    given = _as_given(cfg, args)
    if earlier and (changes := diff_configs(earlier, given)):
        logger.info("Changed in the config since:\n%s", format_diff(changes))
    changes = diff_configs(getattr(args, "default_config", {}), cfg)
    logger.info("Config, where it differs from the defaults (--print-config prints all of it):\n%s", _as_lines(changes))
    logger.debug("Config:\n%s", cfg.dump())
    begin_later(None)
    if not args.eval_only:
        why = " (it had no checkpoint to resume from)" if args.resume else ""
        files = {"config.yaml": given.dump()}
        begin_later(RunStart(output_dir, resumes, files, cfg.PREVIOUS_RUNS_TO_KEEP, is_checkpoint_of_a_run, why))
        logger.info("The config is saved to %s when the training begins", output_dir / "config.yaml")
    seed_all_rng(cfg.SEED)
    if not args.eval_only:
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.DETERMINISTIC:
        enable_determinism()
    set_float32_precision(cfg.FLOAT32_PRECISION)


def _take_folder(output_dir: Path, cfg: CfgNode, args: argparse.Namespace) -> bool:
    """Lock the folder for this process, and return True if the run in it is resumed.

    Raises:
        OSError: the folder cannot be made or written.
        RuntimeError: another process trains in it.
        ValueError: there is nothing to evaluate.
    """
    if args.eval_only and not cfg.MODEL.WEIGHTS and not (args.resume and holds_checkpoint(output_dir)):
        raise ValueError(
            "--eval-only needs weights to measure: set MODEL.WEIGHTS (or --load-from), or add --resume for the last "
            f"checkpoint of {output_dir}. TEST.EVAL_AT_START measures the initial weights of a training"
        )
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        if args.eval_only:
            return True
        hold(output_dir)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"OUTPUT_DIR {output_dir} cannot be written ({reason}): choose another with --work-dir"
        ) from error
    return bool(args.resume and holds_checkpoint(output_dir))


def _as_lines(changes: list[tuple[str, Any, Any]]) -> str:
    return "\n".join(f"  {key}: {value!r}" for key, _, value in changes) or "  nowhere"


def _as_given(cfg: CfgNode, args: argparse.Namespace) -> CfgNode:
    """Return `cfg` without what holds for this start only: the device that was found, and --no-validate."""
    given = getattr(args, "as_given", {})
    skipped = getattr(args, "no_validate", False)
    return cfg.changed(**{key: value for key, value in given.items() if skipped or key == "MODEL.DEVICE"})


def _value_at(cfg: CfgNode, key: str) -> Any:
    return functools.reduce(lambda node, name: node[name], key.split("."), cfg)


def _fix_seed(cfg: CfgNode, earlier: object) -> None:
    """Fill in an open seed: the one that the run began with, or a new one."""
    if cfg.SEED >= 0:
        return
    frozen = cfg.is_frozen()
    cfg.defrost()
    cfg.SEED = earlier if type(earlier) is int and earlier >= 0 else comm.shared_random_seed()
    if frozen:
        cfg.freeze()
    logger.info("SEED was left open; this run uses %d", cfg.SEED)


def _earlier_config(output_dir: Path) -> dict[str, Any]:
    """Return the config that the run in this folder had before; {} if it cannot be read."""
    path = output_dir / "config.yaml"
    try:
        return load_yaml(path)
    except (OSError, ConfigError) as error:
        logger.warning("What changed in the config since cannot be told: %s", error)
        return {}
