"""The command line of a training whose --config-file may be one of fast-reid's."""

import argparse
from pathlib import Path

from steploop.config import CfgNode
from steploop.engine import setup_config

from ..config import add_reid_config
from .reading import is_fastreid, read_config


def setup_reid_config(args: argparse.Namespace) -> CfgNode:
    """Return the frozen config of a command line, whose config file and overrides may be in either dialect.

    Args:
        args: of `default_argument_parser`.

    Raises:
        ValueError, KeyError, TypeError, FileNotFoundError: as `setup_config` and `read_config`.
    """
    if not is_fastreid(args.config_file, args.opts):
        return setup_config(args, add_reid_config)
    file, opts = args.config_file, args.opts

    def add_all(cfg: CfgNode) -> None:
        add_reid_config(cfg)
        read_config(cfg, file, opts)
        if not cfg.OUTPUT_DIR:
            cfg.OUTPUT_DIR = str(Path("output", Path(file).stem if file else "default"))

    # The settings are merged where a project's keys are added; nothing is left for the command line's own steps.
    args.config_file, args.opts = "", []
    try:
        return setup_config(args, add_all)
    finally:
        args.config_file, args.opts = file, opts
