"""Default values for settings that the config leaves empty, for a trainer that is built without a command line."""

import logging
from pathlib import Path

from steploop.config import CfgNode

from ..distributed import comm

logger = logging.getLogger(__name__)


def fill_open_settings(cfg: CfgNode) -> CfgNode:
    """Return `cfg` with SEED >= 0 and an OUTPUT_DIR without "~"; if one of them changes, a copy, frozen if `cfg` is.

    A script does this in `default_setup`; a notebook may build a trainer from `get_cfg()` alone. Every process must
    call it, because the processes agree on the seed that is drawn.
    """
    if cfg.SEED < 0:
        cfg = cfg.changed(SEED=comm.shared_random_seed())
        logger.info("SEED was left open; this run uses %d", cfg.SEED)
    if not cfg.OUTPUT_DIR:
        cfg = cfg.changed(OUTPUT_DIR="output/default")
        logger.info("OUTPUT_DIR was left open; this run writes into %s", cfg.OUTPUT_DIR)
    if cfg.OUTPUT_DIR.startswith("~"):
        cfg = cfg.changed(OUTPUT_DIR=str(Path(cfg.OUTPUT_DIR).expanduser()))
    return cfg
