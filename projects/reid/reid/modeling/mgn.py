"""Multiple granularity network (arXiv:1804.01438): three branches that look at the whole, at halves and at thirds."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config import CfgNode, configurable
from steploop.modeling import META_ARCH_REGISTRY, PretrainedWeights, ResNet, build_backbone, convert_names
from steploop.modeling.backbones.resnet_blocks import make_stage

from .build_losses import Loss, build_losses
from .heads import HeadOutputs, build_heads
from .reid_model import Losses, ReidModel, accuracy, channels_of, pixels_and_tests

# Heads in the order of the embedding, and what each of them sees: (branch, parts of its height, which part).
_SEEN = {
    "b1": ("b1", 1, 0),
    "b2": ("b2", 1, 0),
    "b3": ("b3", 1, 0),
    "b21": ("b2", 2, 0),
    "b22": ("b2", 2, 1),
    "b31": ("b3", 3, 0),
    "b32": ("b3", 3, 1),
    "b33": ("b3", 3, 2),
}
# Whose features the triplet loss sees, by the name under which it is reported.
_TRIPLETS = {
    "b1": ("b1",),
    "b2": ("b2",),
    "b3": ("b3",),
    "b22": ("b21", "b22"),
    "b33": ("b31", "b32", "b33"),
}
_CLASS_WEIGHT, _TRIPLET_WEIGHT = 0.125, 0.2
# Children of a ResNet that the branches share, in the order of `backbone`; the last one is the first block of layer3.
_SHARED = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2")


@META_ARCH_REGISTRY.register()
class MGN(ReidModel):
    """A ResNet whose last one and a half stages exist three times, with eight heads.

    The embedding is the concatenation of all heads' features.

    Args:
        backbone: a ResNet; its parts go over into this model, and its non-local blocks are dropped.
        heads: one for each of b1, b2, b3, b21, b22, b31, b32, b33.
        losses: "loss_cls" and, if asked for, "loss_triplet"; functions of `HeadOutputs` and targets.
        options: of `ReidModel`.

    Raises:
        ValueError: the backbone is no ResNet, the heads or losses are others.
    """

    @configurable
    def __init__(
        self, backbone: nn.Module, heads: Mapping[str, nn.Module], *, losses: Mapping[str, Loss], **options: Any
    ) -> None:
        super().__init__(**options)
        if not isinstance(backbone, ResNet) or backbone.last_output != "res5":
            raise ValueError("MGN needs a ResNet with its last stage: set MODEL.BACKBONE.NAME build_resnet_backbone")
        if set(heads) != set(_SEEN):
            raise ValueError(f"MGN needs the heads {', '.join(_SEEN)}, got {', '.join(heads)}")
        if unknown := set(losses) - {"loss_cls", "loss_triplet"}:
            raise ValueError(
                f"MGN weighs CrossEntropyLoss and TripletLoss; MODEL.LOSSES.NAME also asks for {', '.join(unknown)}"
            )
        first, *rest = backbone.layer3.children()
        self.backbone = nn.Sequential(*(backbone.get_submodule(name) for name in _SHARED), first)
        part_stage = part_stage_of(backbone)
        branches = {
            "b1": nn.Sequential(nn.Sequential(*rest), backbone.layer4),
            "b2": nn.Sequential(nn.Sequential(*copy.deepcopy(rest)), copy.deepcopy(part_stage)),
            "b3": nn.Sequential(nn.Sequential(*copy.deepcopy(rest)), copy.deepcopy(part_stage)),
        }
        # A branch stands before its heads: optimizers and published checkpoints have that order.
        for name in sorted(_SEEN):
            if name in branches:
                self.add_module(name, branches[name])
            self.add_module(f"{name}_head", heads[name])
        self.losses = dict(losses)
        if backbone.pretrained is not None:
            self.pretrained = PretrainedWeights(backbone.pretrained.path, backbone.pretrained.ignore, convert_resnet)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Return the parts that MODEL describes."""
        backbone = build_backbone(cfg)
        channels = channels_of(cfg, backbone)
        return {
            "backbone": backbone,
            "heads": {name: build_heads(cfg, channels) for name in _SEEN},
            "losses": build_losses(cfg),
            **pixels_and_tests(cfg),
        }

    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings (B, 8 * D) of normalised images."""
        return torch.cat([self._head(name)(part) for name, part in self._parts(images).items()], dim=1)

    def losses_of(self, images: Tensor, targets: Tensor) -> tuple[Losses, Losses]:
        """Return a classification loss of every head, triplet losses of wholes and of joined parts, the accuracy."""
        outputs: dict[str, HeadOutputs] = {
            name: self._head(name)(part, targets) for name, part in self._parts(images).items()
        }
        losses = {}
        if "loss_cls" in self.losses:
            for name, one in outputs.items():
                losses[f"loss_cls_{name}"] = _CLASS_WEIGHT * self.losses["loss_cls"](one, targets)
        if "loss_triplet" in self.losses:
            for name, members in _TRIPLETS.items():
                joined = torch.cat([outputs[member].features for member in members], dim=1)
                loss = self.losses["loss_triplet"](outputs[name]._replace(features=joined), targets)
                losses[f"loss_triplet_{name}"] = _TRIPLET_WEIGHT * loss
        return losses, {"cls_accuracy": accuracy(outputs["b1"].pred_class_logits, targets)}

    def _head(self, name: str) -> nn.Module:
        return self.get_submodule(f"{name}_head")

    def _parts(self, images: Tensor) -> dict[str, Tensor]:
        """Return the part of a feature map that each head sees."""
        shared = self.backbone(images)
        maps = {branch: self.get_submodule(branch)(shared) for branch in ("b1", "b2", "b3")}
        cut = {(branch, count): maps[branch].chunk(count, dim=2) for branch, count, _ in _SEEN.values()}
        lowest = min(len(parts) - count for (_, count), parts in cut.items())
        if lowest < 0:
            height = maps["b3"].shape[2]
            raise ValueError(f"MGN cuts its maps into 3 parts along the height, which is {height}: use larger images")
        return {name: cut[branch, count][place] for name, (branch, count, place) in _SEEN.items()}


def part_stage_of(backbone: ResNet) -> nn.Sequential:
    """Return a last stage with stride 1, without IBN, that starts from the weights of the backbone's."""
    last = backbone.layer4
    block: Any = last[0]
    first = block.conv1
    width = block.bn2.num_features
    norm = _norm_name(block.bn2)
    with_se = block.se is not None
    stage = make_stage(
        type(block),
        len(last),
        first.in_channels,
        width,
        1,
        norm=norm,
        with_ibn=False,
        style="pytorch",
        with_se=with_se,
    )
    stage.load_state_dict(last.state_dict())
    return stage


def _norm_name(norm: nn.Module) -> str:
    return "SyncBN" if isinstance(norm, nn.SyncBatchNorm) else "BN"


def convert_resnet(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a ResNet's entries under this model's names: those of layer3 and layer4 go into all three branches.

    A file that holds an MGN already is brought to its names as any other.
    """
    plain = {name.removeprefix("module.").removeprefix("backbone."): value for name, value in state.items()}
    if "conv1.weight" not in plain:
        return convert_names(state, expected)
    converted: dict[str, Any] = {}
    for name, value in plain.items():
        for place, part in enumerate(_SHARED):
            if name.startswith(f"{part}."):
                converted[f"backbone.{place}.{name.removeprefix(part + '.')}"] = value
        match = re.match(r"layer([34])\.(\d+)\.(.*)", name)
        if match is None:
            if not name.startswith(tuple(f"{part}." for part in _SHARED)):
                converted[name] = value
            continue
        stage, block, rest = match[1], int(match[2]), match[3]
        if stage == "3" and block == 0:
            converted[f"backbone.{len(_SHARED)}.{rest}"] = value
            continue
        inside = f"0.{block - 1}" if stage == "3" else f"1.{block}"
        for branch in ("b1", "b2", "b3"):
            converted[f"{branch}.{inside}.{rest}"] = value
    return converted
