"""Converts the names of weights in files of other projects to ours.

A model has the names of the project that its recipe comes from: ResNets have torchvision's, detectors mmdet's, video
networks mmaction2's, re-ID's models fast-reid's, CenterFusion's CenterTrack's. So most files fit without changes, and
the table below has only the differences. The user does not say where a file comes from: `convert_names` tries each
family.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch

logger = logging.getLogger(__name__)

Rule: TypeAlias = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern and its replacement, as for `re.sub`."""


def _stage(match: re.Match[str]) -> str:
    # detectron2 counts the stem as the first stage.
    return f"{match[1]}layer{int(match[2]) - 1}."


def _level(first: int, place: str) -> Callable[[re.Match[str]], str]:
    """Return the replacement of a pyramid level's name; the level is the binary logarithm of its stride."""
    return lambda match: f"neck.{place}.{int(match[1]) - first}.{'bn' if match[2] else 'conv'}."


_DETECTRON2: tuple[Rule, ...] = (
    (r"^backbone\.bottom_up\.", "backbone."),
    (r"(^|\.)stem\.conv1\.norm\.", r"\1bn1."),
    (r"(^|\.)stem\.conv1\.", r"\1conv1."),
    (r"(^|\.)res([2-5])\.", _stage),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"^backbone\.top_block\.p6\.", "neck.fpn_convs.3.conv."),
    (r"^backbone\.top_block\.p7\.", "neck.fpn_convs.4.conv."),
)

# Source family -> its rules, which are applied to a name in this order.
_FAMILIES: dict[str, list[Rule]] = {
    # Detectors of torchvision; the ".0" of the pyramid is in files from 0.13 on.
    "torchvision": [
        (r"^backbone\.body\.", "backbone."),
        (r"^backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(?=weight|bias)", r"neck.lateral_convs.\1.conv."),
        (r"^backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(?=weight|bias)", r"neck.fpn_convs.\1.conv."),
        (r"^backbone\.fpn\.extra_blocks\.p6\.", "neck.fpn_convs.3.conv."),
        (r"^backbone\.fpn\.extra_blocks\.p7\.", "neck.fpn_convs.4.conv."),
    ],
    # Its pyramids start at level 2 (Faster R-CNN) or 3 (RetinaNet); ours are numbered from 0.
    "detectron2": [
        *_DETECTRON2,
        (r"^backbone\.fpn_lateral(\d)\.(norm\.)?", _level(2, "lateral_convs")),
        (r"^backbone\.fpn_output(\d)\.(norm\.)?", _level(2, "fpn_convs")),
    ],
    "detectron2 from level 3": [
        *_DETECTRON2,
        (r"^backbone\.fpn_lateral(\d)\.(norm\.)?", _level(3, "lateral_convs")),
        (r"^backbone\.fpn_output(\d)\.(norm\.)?", _level(3, "fpn_convs")),
    ],
    # Files of 2020 (heads.bnneck) and 2021. The mean and standard deviation of pixels come from the config.
    "fast-reid": [
        (r"(^|_|\.)(heads?)\.bnneck\.", r"\1\2.bottleneck.0."),
        (r"(^|_|\.)(heads?)\.classifier\.", r"\1\2."),
    ],
    # Convolution and normalisation in one module: a 2D recogniser's backbone for a plain ResNet.
    "mmaction2": [
        (r"(^|\.)conv(\d)\.conv\.", r"\1conv\2."),
        (r"(^|\.)conv(\d)\.bn\.", r"\1bn\2."),
        (r"\.downsample\.conv\.", ".downsample.0."),
        (r"\.downsample\.bn\.", ".downsample.1."),
    ],
    # The reverse: torchvision's ResNet for a network of mmaction2.
    "torchvision for mmaction2": [
        (r"(^|\.)conv(\d)\.", r"\1conv\2.conv."),
        (r"(^|\.)bn(\d)\.", r"\1conv\2.bn."),
        (r"\.downsample\.0\.", ".downsample.conv."),
        (r"\.downsample\.1\.", ".downsample.bn."),
    ],
}


def register_name_rules(family: str, rules: Sequence[Rule]) -> None:
    """Add a project's rules to a source family, after its own rules; an unknown family is added.

    Rules for "detectron2" also apply to "detectron2 from level 3". Registering the same rules again changes nothing.
    """
    for name in [family, *(known for known in _FAMILIES if known.startswith(f"{family} from"))]:
        own = _FAMILIES.setdefault(name, [])
        own += [rule for rule in rules if rule not in own]


def convert_names(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entries of a file, of this or another project, under the names of a model.

    The candidates are: no conversion, then the families above, each also with a prefix (such as "backbone.") added to
    or removed from all names. The candidate with the most entries that fit by name and shape is used; of equal ones,
    the first.

    Args:
        state: name -> tensor, of the file.
        expected: name -> tensor, of the model (its `state_dict`).

    Raises:
        ValueError: two entries would get the same name.
    """
    best, description = {name: name for name in state}, ""
    most = _num_fitting(best, state, expected)
    for family, prefix, names in _candidates(state, expected) if most < len(expected) else ():
        fitting = _num_fitting(names, state, expected)
        if fitting > most:
            best, most, description = names, fitting, f"{family or 'the file'}{prefix}"
    if not description:
        return state
    logger.info("Names of weights are converted: from those of %s", description)
    converted: dict[str, Any] = {}
    for name, value in state.items():
        if best[name] in converted:
            raise ValueError(f"two entries of the file would be {best[name]}, one of them {name}")
        converted[best[name]] = value
    return converted


def rename(name: str, rules: Sequence[Rule]) -> str:
    """Return the name after applying all rules."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _candidates(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield (family, description of the prefix, {name in the file: name in the model})."""
    for family, rules in {"": [], **_FAMILIES}.items():
        renamed = {name: rename(name, rules) for name in state}
        yield family, "", renamed
        for part in _first_parts(expected):
            yield family, f', "{part}" put before them', {name: part + new for name, new in renamed.items()}
        for part in _first_parts(renamed.values()):
            stripped = {name: new.removeprefix(part) for name, new in renamed.items()}
            yield family, f', "{part}" taken from them', stripped


def _first_parts(names: Any) -> list[str]:
    return list(dict.fromkeys(name.split(".")[0] + "." for name in names if "." in name))


def _num_fitting(names: Mapping[str, str], state: Mapping[str, Any], expected: Mapping[str, Any]) -> int:
    """Return how many entries fit the model under these names."""
    return sum(
        isinstance(value := state[name], torch.Tensor)
        and isinstance(own := expected.get(new), torch.Tensor)
        and own.shape == value.shape
        for name, new in names.items()
    )
