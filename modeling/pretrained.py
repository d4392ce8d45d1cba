"""Weights that a part of a model starts from: said where it is built, read where a run begins."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from .checkpoint_names import convert_names


class PretrainedWeights(NamedTuple):
    """The file that a module starts from. Its builder sets it as the module's attribute ``pretrained``.

    Nothing is read when the model is built: a run that resumes, evaluates or exports has other weights, and the file
    need not exist there.

    Attributes:
        path: a weight file that the engine reads.
        ignore: prefixes of names in the file that are not reported as left over, such as a classifier's.
        convert: (the file's entries, the module's) -> the entries under the module's names.
    """

    path: str
    ignore: tuple[str, ...] = ()
    convert: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = convert_names


def pretrained_parts(model: nn.Module) -> dict[str, PretrainedWeights]:
    """Return what the modules of a model start from, by the module's name ("" is the model itself)."""
    found = {name: getattr(module, "pretrained", None) for name, module in model.named_modules()}
    return {name: weights for name, weights in found.items() if isinstance(weights, PretrainedWeights)}
