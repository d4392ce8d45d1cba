"""Synthetic pedestrians: a data set to start with, rendered on first use."""

import logging

from steploop.data import DatasetCatalog, datasets_root

from ..dataset import ReidDataset
from ..market1501 import read_market1501
from .generate import Recipe, generate_pedestrians

__all__ = ["NAME", "Recipe", "generate_pedestrians", "load_pedestrians"]

NAME = "synthetic-pedestrians"

logger = logging.getLogger(__name__)


def load_pedestrians() -> ReidDataset:
    """Return the default data set; it is rendered into $STEPLOOP_DATASETS/synthetic-pedestrians if it is not there."""
    root = datasets_root() / NAME
    if not root.exists():
        logger.info("Rendering synthetic pedestrians into %s (once, some seconds)", root)
    return ReidDataset(NAME, *read_market1501(generate_pedestrians(root)))


if NAME not in DatasetCatalog:
    DatasetCatalog.register(NAME, load_pedestrians)
