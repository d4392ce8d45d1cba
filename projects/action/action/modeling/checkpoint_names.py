"""Weights of other libraries: whose they are, and their names and order here."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_PATHS = {"0": "slow_path", "1": "fast_path"}

# Of the convolutions of a block.
_LETTERS = {"a": "1", "b": "2", "c": "3"}


class Converted(NamedTuple):
    """Weights in MMAction2's names.

    Attributes:
        family: "mmaction2", "pytorchvideo" or "pyslowfast".
        weights: name to tensor.
        unknown: names of the file for which there is no rule.
    """

    family: str
    weights: dict[str, Tensor]
    unknown: list[str]

    @property
    def frame_choice(self) -> str:
        """The choice of frames (`ResNet3dSlowFast.frame_choice`) with which such weights were trained."""
        return "stride" if self.family == "mmaction2" else "linspace"


def family_of(names: Mapping[str, Tensor]) -> str:
    """Return whose names these are: "mmaction2" (ours), "pytorchvideo", "pyslowfast" or "torchvision" (a 2D ResNet).

    Raises:
        ValueError: they are none of these.
    """
    if any(name.startswith(("backbone.", "cls_head.")) for name in names):
        return "mmaction2"
    if any(name.startswith("blocks.") for name in names):
        return "pytorchvideo"
    if any(re.match(r"^s\d\.pathway\d", name) for name in names):
        return "pyslowfast"
    if "conv1.weight" in names and any(name.startswith("layer1.0.") for name in names):
        return "torchvision"
    some = ", ".join(list(names)[:3])
    raise ValueError(
        f"the names in this file ({some}, ...) are not those of MMAction2 (backbone.*, cls_head.*), pytorchvideo "
        "(blocks.*), PySlowFast (s1.pathway0_*) or torchvision's ResNet (conv1.weight)"
    )


def convert(state: Mapping[str, Tensor], *, fast_channels: int = 256) -> Converted:
    """Return the weights in our names and order, which are MMAction2's.

    Args:
        state: of a file of MMAction2, pytorchvideo or PySlowFast.
        fast_channels: features of the Fast pathway: the others put Slow's columns of the classifier first.

    Raises:
        ValueError: the names are of another library.
    """
    family = family_of(state)
    if family == "torchvision":
        raise ValueError("an image network is inflated (MODEL.BACKBONE_WEIGHTS), not loaded by name")
    if family == "mmaction2":
        # 1.x files also hold what their preprocessor needs.
        kept = {name: value for name, value in state.items() if not name.startswith("data_preprocessor.")}
        return Converted(family, kept, [])
    rename = _from_pytorchvideo if family == "pytorchvideo" else _from_pyslowfast
    single = not any("pathway1" in name or "multipathway" in name for name in state)
    weights, unknown = {}, []
    for name, value in state.items():
        new = rename(name, single)
        if new is None:
            unknown.append(name)
            continue
        if new == "cls_head.fc_cls.weight" and not single:
            slow = value.shape[1] - fast_channels
            value = torch.cat((value[:, slow:], value[:, :slow]), dim=1)
        weights[new] = value
    return Converted(family, weights, unknown)


def _path(number: str, single: bool) -> str:
    return "backbone." if single else f"backbone.{_PATHS[number]}."


def _from_pytorchvideo(name: str, single: bool) -> str | None:
    head = re.match(r"^blocks\.\d+\.proj\.(\w+)$", name)
    if head:
        return f"cls_head.fc_cls.{head[1]}"
    fusion = re.match(r"^blocks\.([0-3])\.multipathway_fusion\.(conv_fast_to_slow|norm)\.(.+)$", name)
    if fusion:
        place = "conv1" if fusion[1] == "0" else f"layer{fusion[1]}"
        return f"backbone.slow_path.{place}_lateral.{'conv' if 'conv' in fusion[2] else 'bn'}.{fusion[3]}"
    inner = re.match(r"^blocks\.(\d)\.(?:multipathway_blocks\.([01])\.)?(.+)$", name)
    if inner is None:
        return None
    stage, pathway, rest = inner[1], inner[2] or "0", inner[3]
    prefix = _path(pathway, single)
    if stage == "0":
        stem = re.match(r"^(conv|norm)\.(.+)$", rest)
        return None if stem is None else f"{prefix}conv1.{'conv' if stem[1] == 'conv' else 'bn'}.{stem[2]}"
    block = re.match(r"^res_blocks\.(\d+)\.(?:branch2\.(conv|norm)_([abc])|branch1_(conv|norm))\.(.+)$", rest)
    if block is None:
        return None
    place = f"conv{_LETTERS[block[3]]}" if block[3] else "downsample"
    kind = "conv" if (block[2] or block[4]) == "conv" else "bn"
    return f"{prefix}layer{stage}.{block[1]}.{place}.{kind}.{block[5]}"


def _from_pyslowfast(name: str, single: bool) -> str | None:
    head = re.match(r"^head\.projection\.(\w+)$", name)
    if head:
        return f"cls_head.fc_cls.{head[1]}"
    fusion = re.match(r"^s([1-4])_fuse\.(conv_f2s|bn)\.(.+)$", name)
    if fusion:
        place = "conv1" if fusion[1] == "1" else f"layer{int(fusion[1]) - 1}"
        return f"backbone.slow_path.{place}_lateral.{'conv' if 'conv' in fusion[2] else 'bn'}.{fusion[3]}"
    stem = re.match(r"^s1\.pathway([01])_stem\.(conv|bn)\.(.+)$", name)
    if stem:
        return f"{_path(stem[1], single)}conv1.{stem[2]}.{stem[3]}"
    block = re.match(r"^s([2-5])\.pathway([01])_res(\d+)\.(?:branch2\.([abc])(_bn)?|branch1(_bn)?)\.(.+)$", name)
    if block is None:
        return None
    place = f"conv{_LETTERS[block[4]]}" if block[4] else "downsample"
    kind = "bn" if block[5] or block[6] else "conv"
    return f"{_path(block[2], single)}layer{int(block[1]) - 1}.{block[3]}.{place}.{kind}.{block[7]}"
