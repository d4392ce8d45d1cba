"""Reads a config in either dialect into one of ours."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import torch

from steploop.config import CfgNode, ConfigError
from steploop.config.bases import load_layers
from steploop.config.nested import dotted_names

from .defaults import fastreid_defaults
from .keys import RECOGNISED_BY, REFUSED, RENAMED
from .translate import translate

logger = logging.getLogger(__name__)


def is_fastreid(config_file: str | os.PathLike[str], opts: Sequence[Any] = ()) -> bool:
    """Return whether a config file, one of its bases or an override has a key that only fast-reid has.

    Raises:
        ConfigError, FileNotFoundError: the file cannot be read.
    """
    layers = load_layers(config_file) if config_file else []
    names = {name for layer in layers for name in dotted_names(layer.values)}
    names |= {str(item).partition("=")[0] for item in opts}
    return not names.isdisjoint(RECOGNISED_BY)


def read_config(cfg: CfgNode, config_file: str | os.PathLike[str], opts: Sequence[Any] = ()) -> None:
    """Merge a config file in either dialect, and overrides, into a config of ours.

    Args:
        cfg: with the keys of `add_reid_config`; changed in place.
        config_file: "" merges the overrides only.
        opts: [KEY, VALUE, ...] or ["KEY=VALUE", ...]. With a file of fast-reid's, keys of either dialect: one that
            fast-reid has is an override of its config, any other is one of ours.

    Raises:
        ConfigError, KeyError, ValueError, TypeError, FileNotFoundError: as `CfgNode.merge_from_file`; a key of
            fast-reid's that is refused, with the reason.
    """
    if not is_fastreid(config_file, opts):
        if config_file:
            cfg.merge_from_file(config_file)
        cfg.merge_from_list(list(opts))
        return
    theirs, ours = _split(opts)
    given = fastreid_defaults()
    if config_file:
        _refuse(config_file)
        given.merge_from_file(config_file)
    given.merge_from_list(theirs)
    translation = translate(given.to_dict(), on_gpu=torch.cuda.is_available())
    logger.info("%s is a config of fast-reid's; --print-config shows what it stands for", config_file or "This")
    for note in translation.notes:
        logger.warning("fast-reid: %s", note)
    cfg.merge_from_list([part for pair in translation.values.items() for part in pair])
    cfg.merge_from_list(ours)


def _refuse(config_file: str | os.PathLike[str]) -> None:
    for layer in load_layers(config_file):
        for name in dotted_names(layer.values):
            if name in REFUSED:
                raise ConfigError(f"{layer.at(tuple(name.split('.')))}: {name} is refused: {REFUSED[name]}")


def _split(opts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the overrides of fast-reid's keys, under its names, and the others."""
    known = set(dotted_names(fastreid_defaults().to_dict()))
    their_name = {ours: theirs for theirs, ours in RENAMED.items()}
    theirs: list[Any] = []
    ours: list[Any] = []
    rest = iter(opts)
    for item in rest:
        key, sign, value = str(item).partition("=")
        key = their_name.get(key, key)
        target = theirs if key in known else ours
        if sign:
            target.append(f"{key}={value}")
        else:
            target += [key, *([following] if (following := next(rest, _END)) is not _END else [])]
    return theirs, ours


_END = object()
