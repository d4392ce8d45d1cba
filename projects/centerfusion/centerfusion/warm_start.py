"""Weights of a network with other input channels: CenterNet's baseline into the radar model."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from steploop.modeling import convert_names

logger = logging.getLogger(__name__)


def convert_for_model(found: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a file for a model, also of convolutions that differ in their input channels only.

    Where the file has fewer input channels, its values are those of the first ones, and the model's further channels
    keep theirs; where it has more, they are dropped.

    Args:
        found: the file's entries.
        own: the model's entries.
    """
    entries = dict(convert_names(found, own))
    changed = []
    for name, value in entries.items():
        target = own.get(name)
        if not isinstance(value, Tensor) or not isinstance(target, Tensor) or {value.dim(), target.dim()} != {4}:
            continue
        others_agree = value.shape[0] == target.shape[0] and value.shape[2:] == target.shape[2:]
        if others_agree and value.shape[1] != target.shape[1]:
            count = min(value.shape[1], target.shape[1])
            widened = target.clone()
            widened[:, :count] = value[:, :count]
            entries[name] = widened
            changed.append(name)
    if changed:
        logger.info("Only the first input channels of %s come from the file", ", ".join(changed))
    return entries
