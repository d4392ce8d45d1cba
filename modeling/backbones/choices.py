"""What the builders of backbones have in common: a variant by name, and the weights it starts from."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from steploop.config import CfgNode

from ..build import Backbone
from ..checkpoint_names import convert_names
from ..pretrained import PretrainedWeights

T = TypeVar("T")
B = TypeVar("B", bound=Backbone)


def variant(cfg: CfgNode, variants: Mapping[str, T]) -> T:
    """Return the entry of `variants` that MODEL.BACKBONE.DEPTH names.

    Raises:
        ValueError: there is none of that name.
    """
    name = str(cfg.MODEL.BACKBONE.DEPTH)
    if name not in variants:
        raise ValueError(
            f"MODEL.BACKBONE.DEPTH {name!r} is unknown to {cfg.MODEL.BACKBONE.NAME}: expected one of "
            f"{', '.join(variants)}"
        )
    return variants[name]


def start_from_file(
    cfg: CfgNode,
    backbone: B,
    *ignore: str,
    convert: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = convert_names,
) -> B:
    """Note MODEL.BACKBONE.PRETRAIN_PATH, if it is set, as what the backbone starts from; return the backbone.

    Args:
        cfg: the config.
        backbone: any.
        ignore: prefixes of entries in the file that the backbone does not have, such as a classifier's.
        convert: see `PretrainedWeights`.
    """
    if cfg.MODEL.BACKBONE.PRETRAIN_PATH:
        backbone.pretrained = PretrainedWeights(cfg.MODEL.BACKBONE.PRETRAIN_PATH, ignore=ignore, convert=convert)
    return backbone
