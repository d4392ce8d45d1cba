"""Weights of other libraries for a recognizer."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .modeling.checkpoint_names import convert, family_of

logger = logging.getLogger(__name__)


def as_recognizer(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a file's entries in the names and order of a recognizer: the conversion that the engine's loader calls.

    Args:
        state: name to tensor, of a file of MMAction2 (0.x or 1.x), pytorchvideo, PySlowFast or ours.
        expected: of the model.
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    try:
        family_of(tensors)
    except ValueError:
        return state  # the loader says what the file and the model have
    head = expected.get("cls_head.fc_cls.weight")
    last = [name for name in expected if name.startswith("backbone.slow_path.layer4.") and name.endswith("bn.bias")]
    slow = max((len(expected[name]) for name in last), default=0)
    converted = convert(tensors, fast_channels=len(head[0]) - slow if isinstance(head, Tensor) and slow else 0)
    if converted.frame_choice != "stride":
        logger.warning(
            "Weights of %s were trained on other frames of a clip: set MODEL.SPEC.backbone.frame_choice to %s, or "
            "their figures are not reached",
            converted.family,
            converted.frame_choice,
        )
    return converted.weights
