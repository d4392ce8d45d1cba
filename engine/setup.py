"""From a command line to a run that may begin."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from steploop.config import CfgNode, get_cfg

from . import comm
from .device import resolve_device
from .environment import collect_env_info
from .logger import setup_logger
from .run_folder import start_run
from .seeding import seed_all_rng

logger = logging.getLogger(__name__)


def setup_config(args: argparse.Namespace, *add_keys: Callable[[CfgNode], None]) -> CfgNode:
    """Return the frozen config of a command line: defaults, then the file, then the overrides.

    What was left open is filled in where it can be known before any process is started: OUTPUT_DIR (output/<name of
    the config file>) and MODEL.DEVICE ("auto"). With --print-config, the config is printed and the program ends.

    Args:
        args: of `default_argument_parser`.
        add_keys: functions that add a project's keys.

    Raises:
        ValueError, KeyError, TypeError, FileNotFoundError: the config is wrong, with the place and the remedy.
    """
    cfg = get_cfg()
    for add in add_keys:
        add(cfg)
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    if not cfg.OUTPUT_DIR:
        cfg.OUTPUT_DIR = os.path.join("output", Path(args.config_file).stem if args.config_file else "default")
    cfg.MODEL.DEVICE = str(resolve_device(cfg.MODEL.DEVICE, args.num_gpus))
    cfg.freeze()
    if getattr(args, "print_config", False):
        print(cfg.dump(), end="")
        sys.exit(0)
    return cfg


def default_setup(cfg: CfgNode, args: argparse.Namespace) -> None:
    """Make the output folder, start logging, tell what runs where, and seed everything.

    Called in every process, before anything random is made. A folder that holds another run is emptied into
    ``previous/`` unless `args` resume or only evaluate. A negative SEED is replaced, in `cfg`, by one that the main
    process draws, or on a resume by the one that the run began with.

    Args:
        cfg: the config; its SEED may be changed even if it is frozen.
        args: of `default_argument_parser`.
    """
    output_dir = Path(cfg.OUTPUT_DIR)
    begins = not args.resume and not args.eval_only
    moved = None
    if comm.is_main_process():
        if begins:
            moved = start_run(output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
    comm.synchronize()
    rank = comm.get_rank()
    setup_logger(str(output_dir), distributed_rank=rank)
    if moved is not None:
        logger.info("The folder held an earlier run, which is now in %s", moved)
    logger.info("Rank of this process: %d of %d", rank, comm.get_world_size())
    logger.info("Environment:\n%s", collect_env_info())
    logger.info("Command line: %s", args)
    _fix_seed(cfg, output_dir, resume=args.resume)
    logger.info("Config:\n%s", cfg.dump())
    if comm.is_main_process() and not args.eval_only:
        (output_dir / "config.yaml").write_text(cfg.dump())
        logger.info("Config saved to %s", output_dir / "config.yaml")
    seed_all_rng(cfg.SEED)
    if not args.eval_only:
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if cfg.FLOAT32_PRECISION:
        torch.set_float32_matmul_precision(cfg.FLOAT32_PRECISION)


def _fix_seed(cfg: CfgNode, output_dir: Path, resume: bool) -> None:
    if cfg.SEED >= 0:
        return
    seed = _earlier_seed(output_dir) if resume else None
    frozen = cfg.is_frozen()
    cfg.defrost()
    cfg.SEED = comm.shared_random_seed() if seed is None else seed
    if frozen:
        cfg.freeze()
    logger.info("SEED was left open; this run uses %d", cfg.SEED)


def _earlier_seed(output_dir: Path) -> int | None:
    """Return the seed that the run in this folder began with."""
    path = output_dir / "config.yaml"
    seed = yaml.safe_load(path.read_text()).get("SEED") if path.is_file() else None
    return seed if isinstance(seed, int) and seed >= 0 else None
