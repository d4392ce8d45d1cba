"""Loads a state dict of this or another project into a model, and reports what was loaded."""

import logging
import os
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from .loaded_weights import LoadedWeights

logger = logging.getLogger(__name__)

Convert: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""(entries of a file, entries of the model) -> the file's entries under the model's names, its shapes if need be."""

MINIMUM_SHARE = 0.5
"""Default for the share of a model's weights, in 0..1, that a file to start from must contain."""

# DataParallel and DistributedDataParallel put the first before every name; torch.compile puts the second before the
# names of the module that it compiles, which may be a part of the model.
_WRAPPER, _COMPILED = "module.", "_orig_mod"
_COUNTER = "num_batches_tracked"


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside DistributedDataParallel, DataParallel and torch.compile."""
    while True:
        if isinstance(model, DistributedDataParallel | DataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def load_weights(
    model: nn.Module,
    state: Mapping[str, Any],
    *,
    convert: Convert | None = None,
    ignore: Sequence[str] = (),
    minimum_share: float = 0.0,
    source: str | os.PathLike[str] = "the file",
) -> LoadedWeights:
    """Copy into `model` all entries that fit by name and shape; log their number, and the others as one table.

    Prefixes of wrappers are ignored: "module." before all names, and "_orig_mod." anywhere (torch.compile).

    Args:
        model: may be wrapped; it is changed in place.
        state: name -> tensor.
        convert: renames entries of other projects to the model's names, such as `steploop.modeling.convert_names`.
        ignore: prefixes of names, such as a classifier's, that are not in the table if only the file has them.
        minimum_share: the share of the model's weights, in 0..1, that must be loaded; with 0, one common name is
            enough, and the caller checks the report.
        source: the file's name in messages.

    Returns:
        The names that were loaded, and those that were not.

    Raises:
        ValueError: there is no common name, or less than `minimum_share` fits (the model is then partly changed); an
            entry that should be a tensor is not one, or the model cannot load it.
    """
    model = unwrap(model)
    expected = model.state_dict()
    state = _in_names_of(model, expected, state)
    converted = state if convert is None else convert(state, expected)
    fitting, incorrect = _fitting(converted, expected)
    try:
        result = model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:  # such as a dtype that cannot be copied into that of the model
        raise ValueError(f"the model cannot take the weights in {source}: {error}") from error
    wrong = {name for name, *_ in incorrect}
    initial = {*result.missing_keys, *wrong}
    loaded = [name for name in _without_counters(expected) if name not in initial]
    missing = _without_aliases(model, [name for name in result.missing_keys if name not in wrong])
    report = LoadedWeights(
        loaded=loaded,
        converted=[name for name in loaded if name not in state],
        missing_keys=_without_counters(missing),
        unexpected_keys=[key for key in _without_counters(result.unexpected_keys) if not key.startswith(tuple(ignore))],
        incorrect_shapes=sorted(incorrect),
    )
    _check(report, minimum_share, f"{type(model).__name__} and {source}", state, expected)
    logger.info("%s from %s", report.summary(), source)
    return report


def _fitting(
    state: Mapping[str, Any], expected: Mapping[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, tuple[int, ...], tuple[int, ...]]]]:
    """Return the entries without those of a wrong shape, and (name, file's shape, model's shape) of the wrong ones."""
    fitting: dict[str, Any] = OrderedDict(state)
    if hasattr(state, "_metadata"):  # versions of modules; a copy of the dict does not have them
        fitting._metadata = state._metadata  # type: ignore[attr-defined]
    incorrect = []
    for key in state.keys() & expected.keys():
        if not isinstance(expected[key], torch.Tensor):
            continue
        if not isinstance(state[key], torch.Tensor):
            raise ValueError(f"{key} should be a tensor in the file, and is a {type(state[key]).__name__}")
        if nn.parameter.is_lazy(expected[key]):
            continue
        shapes = tuple(state[key].shape), tuple(expected[key].shape)
        if shapes[0] != shapes[1]:
            incorrect.append((key, *shapes))
            del fitting[key]
    return fitting, incorrect


def _check(
    report: LoadedWeights, minimum_share: float, what: str, state: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Log the entries that did not fit; raise ValueError if too few did."""
    if report.initial and not report.loaded and not report.incorrect_shapes:
        raise ValueError(
            f"{what} have not one name in common: the file has {_some(state)}, the model {_some(expected)}. "
            "Is it a checkpoint of another architecture, or does a prefix differ?"
        )
    if not report.is_exact:
        logger.warning("%s differ:\n%s", what, report.table())
    if report.share < minimum_share:
        raise ValueError(
            f"{what} have too little in common. {report.summary()}, at least {minimum_share:.0%} are expected; what is "
            "missing would stay random (see the table in the log). Is the file of another architecture or width? "
            "MODEL.WEIGHTS_MIN_SHARE sets the limit"
        )


def _in_names_of(model: nn.Module, expected: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entries under the model's names, if those differ only by the prefixes of wrappers."""
    odd = [key for key in state if not isinstance(key, str)]
    if odd:
        raise ValueError(f"the names of weights must be str, got {odd[:3]}")
    prefix, own_prefix = _wrapper_prefix(state), _wrapper_prefix(expected)
    own = {_plain(key, own_prefix): key for key in expected}
    renamed: dict[str, Any] = OrderedDict()
    for key, value in state.items():
        plain = _plain(key, prefix)
        name = own.get(plain, plain)
        if name in renamed:
            raise ValueError(f"the file has {name} twice, once of them as {key}")
        renamed[name] = value
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        # The versions of modules: their names end without a dot, so the prefix is compared with one added.
        versions = {_plain(f"{key}.", prefix).strip("."): value for key, value in metadata.items()}
        found = {name: versions.get(_plain(f"{name}.", own_prefix).strip(".")) for name, _ in model.named_modules()}
        renamed._metadata = {name: value for name, value in found.items() if value is not None}  # type: ignore[attr-defined]
    return renamed


def _wrapper_prefix(names: Iterable[str]) -> str:
    """Return "module.", repeated as often as all names begin with it; "" if they do not."""
    names = [_plain(name, "") for name in names]
    prefix = ""
    while names and all(name.startswith(prefix + _WRAPPER) for name in names):
        prefix += _WRAPPER
    return prefix


def _plain(name: str, prefix: str) -> str:
    return ".".join(part for part in name.split(".") if part != _COMPILED).removeprefix(prefix)


def _without_counters(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.split(".")[-1] != _COUNTER]


def _without_aliases(model: nn.Module, missing: list[str]) -> list[str]:
    """Remove the names of tied weights that were loaded under another name."""
    names = defaultdict(set)
    for key, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
        names[id(tensor)].add(key)
    absent = set(missing)
    aliases = set().union(*(group for group in names.values() if group - absent))
    return [key for key in missing if key not in aliases]


def _some(state: Mapping[str, Any]) -> str:
    return ", ".join(list(state)[:3]) + (", ..." if len(state) > 3 else "")
