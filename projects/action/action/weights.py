"""Weights of other libraries for a recognizer."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .modeling.checkpoint_names import convert, family_of


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
    slow = [value.shape[0] for name, value in expected.items() if name.startswith("backbone.slow_path.layer4")]
    fast_channels = head.shape[1] - max(slow) if isinstance(head, Tensor) and slow else 0
    return convert(tensors, fast_channels=fast_channels).weights
