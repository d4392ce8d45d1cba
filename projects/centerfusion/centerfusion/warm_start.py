"""Weights of a network with fewer input channels: CenterNet's baseline into the radar model."""

import logging
from pathlib import Path

import torch
from torch import nn

from steploop.engine.checkpoint.reader import read_checkpoint

logger = logging.getLogger(__name__)


@torch.no_grad()
def warm_start(model: nn.Module, path: str | Path) -> list[str]:
    """Copy the first input channels of convolutions that differ only in their input channels.

    The others were loaded, or reported as unfit, before. Where the file has fewer input channels than the model, the
    model's further ones keep their values; where it has more, they are dropped.

    Returns:
        The names of the convolutions.
    """
    found = read_checkpoint(path)["model"]
    found = {name.removeprefix("module."): value for name, value in found.items()}
    own = dict(model.named_parameters())
    changed = []
    for name, value in found.items():
        target = own.get(name)
        if target is None or target.dim() != 4 or value.dim() != 4 or target.shape == value.shape:
            continue
        if target.shape[0] == value.shape[0] and target.shape[2:] == value.shape[2:]:
            count = min(target.shape[1], value.shape[1])
            target[:, :count] = value[:, :count]
            changed.append(name)
    if changed:
        logger.info("Only the first input channels were copied to %s", ", ".join(changed))
    return changed
