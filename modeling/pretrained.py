"""The pretrained weights of parts of a model: a builder names the file, and a new run reads it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from .checkpoint_names import convert_names


class PretrainedWeights(NamedTuple):
    """The weight file of a module. The module's builder sets it as the attribute ``pretrained``.

    Building the model does not read the file: to resume, evaluate or export, other weights are loaded, and the file
    need not exist.

    Attributes:
        path: a weight file that the engine can read.
        ignore: prefixes of names in the file, such as a classifier's, that are not reported as unused.
        convert: (entries of the file, entries of the module) -> the file's entries under the module's names.
    """

    path: str
    ignore: tuple[str, ...] = ()
    convert: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = convert_names


def pretrained_parts(model: nn.Module) -> dict[str, PretrainedWeights]:
    """Return the pretrained weights of a model's modules, by the module's name ("" is the model itself)."""
    found = {name: getattr(module, "pretrained", None) for name, module in model.named_modules()}
    return {name: weights for name, weights in found.items() if isinstance(weights, PretrainedWeights)}
