"""The command line of MMDetection 2.x and its relatives: their config files and their flags."""

import argparse
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from steploop.config import CfgNode, load_python_config, merge_options

from .setup import setup_config

logger = logging.getLogger(__name__)

Translate = Callable[..., dict[str, Any]]


def add_mm_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the mm tools that `default_argument_parser` has under another name, or not at all."""
    group = parser.add_argument_group("config files of MMDetection and its relatives")
    group.add_argument(
        "--cfg-options",
        "--options",
        dest="cfg_options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of an mm config (--config-file x.py), such as optimizer.lr=0.01 data.train.classes=[a,b]",
    )
    group.add_argument("--resume-from", metavar="FILE", help="as --resume; the file is MODEL.WEIGHTS for a new run")
    group.add_argument("--auto-resume", action="store_true", help="as --resume")
    group.add_argument("--validate", action="store_true", help="evaluate during the run, which it does anyway")
    gpus = group.add_mutually_exclusive_group()
    gpus.add_argument("--gpus", type=int, metavar="N", help="as --num-gpus")
    gpus.add_argument("--gpu-ids", type=int, nargs="+", metavar="I", help="as --num-gpus with so many processes")
    group.add_argument("--local_rank", "--local-rank", type=int, default=0, help="taken from the launcher; not read")


def setup_mm_config(args: argparse.Namespace, add_config: Callable[[CfgNode], None], translate: Translate) -> CfgNode:
    """Return the frozen config of a command line whose --config-file may be an mm config; see `setup_config`.

    Args:
        args: of `default_argument_parser` with `add_mm_arguments`; changed to what the flags stand for.
        add_config: adds the project's keys.
        translate: ``translate(mm config, num_processes=n)`` returns the settings that it stands for.

    Raises:
        ValueError, KeyError, TypeError, FileNotFoundError: as `setup_config`, and for what `load_python_config`,
            `merge_options` and `translate` refuse.
    """
    _apply_flags(args)
    if not args.config_file.endswith(".py"):
        if args.cfg_options:
            raise ValueError(
                "--cfg-options change an mm config: give one by --config-file x.py, or use KEY VALUE pairs"
            )
        return setup_config(args, add_config)
    config = merge_options(load_python_config(args.config_file), args.cfg_options)
    values = translate(config, num_processes=args.num_gpus * args.num_machines)
    values["OUTPUT_DIR"] = values.get("OUTPUT_DIR") or str(Path("output", Path(args.config_file).stem))

    def add_all(cfg: CfgNode) -> None:
        add_config(cfg)
        merge_settings(cfg, values)

    file, args.config_file = args.config_file, ""
    try:
        return setup_config(args, add_all)
    finally:
        args.config_file = file


def merge_settings(cfg: CfgNode, values: Mapping[str, Any]) -> None:
    """Merge nested settings into a config."""
    cfg.merge_from_other_cfg(dict(values))


def _apply_flags(args: argparse.Namespace) -> None:
    if args.gpus is not None or args.gpu_ids:
        args.num_gpus = args.gpus if args.gpus is not None else len(args.gpu_ids)
    if args.auto_resume or args.resume_from:
        args.resume = True
    if args.resume_from and not args.load_from:
        args.load_from = args.resume_from
