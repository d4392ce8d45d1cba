"""Which losses a model is trained with: from MODEL.LOSSES to functions of the head's outputs."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from steploop.config import CfgNode

from .cross_rank import across_ranks
from .heads import HeadOutputs
from .losses import cross_entropy_loss, focal_loss, pairwise_circleloss, pairwise_cosface, triplet_loss

Loss = Callable[[HeadOutputs, Tensor], Tensor]
"""Maps a head's outputs and the targets (B,) to a 0-d loss."""


def build_losses(cfg: CfgNode) -> dict[str, Loss]:
    """Return the losses that MODEL.LOSSES.NAME lists, by the name under which they are reported.

    Raises:
        ValueError: the list is empty or holds an unknown name.
    """
    names = cfg.MODEL.LOSSES.NAME
    if not names:
        raise ValueError(f"MODEL.LOSSES.NAME is empty: list at least one of {', '.join(_BUILDERS)}")
    losses = {}
    for name in names:
        if name not in _BUILDERS:
            raise ValueError(f"unknown loss {name!r} in MODEL.LOSSES.NAME: expected some of {', '.join(_BUILDERS)}")
        key, build = _BUILDERS[name]
        loss = build(cfg)
        is_pairwise = name not in ("CrossEntropyLoss", "FocalLoss")
        losses[key] = across_ranks(loss) if cfg.MODEL.LOSSES.CROSS_RANK and is_pairwise else loss
    return losses


def _cross_entropy(cfg: CfgNode) -> Loss:
    options = cfg.MODEL.LOSSES.CE
    loss = partial(cross_entropy_loss, eps=options.EPSILON, alpha=options.ALPHA)
    scale = options.SCALE
    return lambda outputs, targets: loss(outputs.cls_outputs, targets) * scale


def _focal(cfg: CfgNode) -> Loss:
    options = cfg.MODEL.LOSSES.FL
    loss = partial(focal_loss, alpha=options.ALPHA, gamma=options.GAMMA)
    scale = options.SCALE
    return lambda outputs, targets: loss(outputs.cls_outputs, targets) * scale


def _triplet(cfg: CfgNode) -> Loss:
    options = cfg.MODEL.LOSSES.TRI
    loss = partial(triplet_loss, margin=options.MARGIN, norm_feat=options.NORM_FEAT, hard_mining=options.HARD_MINING)
    return _of_features(loss, options.SCALE)


def _circle(cfg: CfgNode) -> Loss:
    options = cfg.MODEL.LOSSES.CIRCLE
    return _of_features(partial(pairwise_circleloss, margin=options.MARGIN, gamma=options.GAMMA), options.SCALE)


def _cosface(cfg: CfgNode) -> Loss:
    options = cfg.MODEL.LOSSES.COSFACE
    return _of_features(partial(pairwise_cosface, margin=options.MARGIN, gamma=options.GAMMA), options.SCALE)


def _of_features(loss: Callable[..., Tensor], scale: float) -> Loss:
    return lambda outputs, targets: loss(outputs.features, targets) * scale


# The name in the config; the name in the logs; the builder.
_BUILDERS: dict[str, tuple[str, Callable[[CfgNode], Loss]]] = {
    "CrossEntropyLoss": ("loss_cls", _cross_entropy),
    "FocalLoss": ("loss_focal", _focal),
    "TripletLoss": ("loss_triplet", _triplet),
    "CircleLoss": ("loss_circle", _circle),
    "Cosface": ("loss_cosface", _cosface),
}
