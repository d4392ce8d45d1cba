"""The model that a config names: losses in training, detections in evaluation."""

from typing import Any

import torch
from torch import Tensor

from steploop.config import CfgNode
from steploop.modeling import META_ARCH_REGISTRY, PretrainedWeights

from .. import from_config
from .decode import activate, decode, merge_mirrored
from .dla_up import NODES
from .losses import DetectionLoss
from .network import CenterFusionNet


@META_ARCH_REGISTRY.register()
class CenterFusion(CenterFusionNet):
    """CenterFusion, or its CenterNet baseline without radar.

    In training mode ``model(batch)`` returns weighted losses; radar is associated with the true boxes where the batch
    has them ("pc_hm"), else with the predicted ones. In eval mode it returns the arrays of `decode`.

    Raises:
        ValueError: MODEL.DLA or MODEL.HEADS has a wrong value.
    """

    def __init__(self, cfg: CfgNode) -> None:
        if cfg.MODEL.DLA.NODE not in NODES:
            raise ValueError(f"MODEL.DLA.NODE is one of {', '.join(NODES)}, got {cfg.MODEL.DLA.NODE!r}")
        if len(cfg.MODEL.DLA.CHANNELS) != 6:
            raise ValueError(f"MODEL.DLA.CHANNELS has six numbers, got {list(cfg.MODEL.DLA.CHANNELS)}")
        super().__init__(
            radar=cfg.MODEL.RADAR.ENABLED,
            node=cfg.MODEL.DLA.NODE,
            channels=cfg.MODEL.DLA.CHANNELS,
            head_channels=cfg.MODEL.HEADS.CHANNELS,
            secondary_layers=cfg.MODEL.HEADS.SECONDARY_LAYERS,
            frustums=from_config.frustums(cfg),
        )
        if cfg.MODEL.DLA.PRETRAIN_PATH:
            self.base.pretrained = PretrainedWeights(cfg.MODEL.DLA.PRETRAIN_PATH, ignore=("fc.",))
        self.compute_losses = DetectionLoss(dict(cfg.MODEL.LOSS_WEIGHTS.items()))
        self.num_detections = cfg.TEST.NUM_DETECTIONS
        self.flip_test = cfg.TEST.FLIP

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return losses or detections of a batch of `SampleMapper`."""
        device = self.get_parameter("hm.0.weight").device
        batch = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
        images, radar, calib = batch["image"], batch["pc_dep"], batch["calib"]
        if self.training:
            maps = self.compute_maps(images, radar, calib, batch.get("pc_hm"))
            return self.compute_losses(maps, batch)
        if self.flip_test:
            images = torch.cat((images, images.flip(3)))
            turned = radar.flip(3) * torch.tensor([1, -1, 1], device=device)[:, None, None]
            radar, calib = torch.cat((radar, turned)), torch.cat((calib, calib))
        maps = activate(self.compute_maps(images, radar, calib))
        return decode(merge_mirrored(maps) if self.flip_test else maps, self.num_detections)
