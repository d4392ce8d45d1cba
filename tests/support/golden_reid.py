"""Models with the weights and images that the reference figures were recorded with."""

import zlib
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.config import CfgNode, get_cfg
from steploop.projects.reid import add_reid_config

AGW: dict[str, Any] = {
    "MODEL__BACKBONE__WITH_NL": True,
    "MODEL__HEADS__POOL_LAYER": "GeneralizedMeanPooling",
    "MODEL__LOSSES__TRI__MARGIN": 0.0,
    "MODEL__LOSSES__TRI__HARD_MINING": False,
}
SBS: dict[str, Any] = {
    "MODEL__BACKBONE__WITH_NL": True,
    "MODEL__HEADS__NECK_FEAT": "after",
    "MODEL__HEADS__POOL_LAYER": "GeneralizedMeanPoolingP",
    "MODEL__HEADS__CLS_LAYER": "CircleSoftmax",
    "MODEL__HEADS__SCALE": 64.0,
    "MODEL__HEADS__MARGIN": 0.35,
    "MODEL__LOSSES__TRI__MARGIN": 0.0,
    "INPUT__SIZE_TEST": [384, 128],
}
IBN: dict[str, Any] = {"MODEL__BACKBONE__WITH_IBN": True}
R101: dict[str, Any] = {"MODEL__BACKBONE__DEPTH": "101x", **IBN}
S50: dict[str, Any] = {"MODEL__BACKBONE__NAME": "build_resnest_backbone", "MODEL__BACKBONE__DEPTH": "50x"}
MODELS: dict[str, dict[str, Any]] = {
    "bagtricks_R50": {},
    "bagtricks_R50-ibn": IBN,
    "bagtricks_R101-ibn": R101,
    "bagtricks_S50": S50,
    "bagtricks_vit": {
        "MODEL__BACKBONE__NAME": "build_vit_backbone",
        "MODEL__BACKBONE__DEPTH": "base",
        "MODEL__HEADS__POOL_LAYER": "Identity",
    },
    "AGW_R50": AGW,
    "AGW_R50-ibn": {**AGW, **IBN},
    "AGW_R101-ibn": {**AGW, **R101},
    "AGW_S50": {**AGW, **S50},
    "sbs_R50": SBS,
    "sbs_R50-ibn": {**SBS, **IBN},
    "sbs_R101-ibn": {**SBS, **R101},
    "sbs_S50": {**SBS, **S50},
    "mgn_R50-ibn": {
        **SBS,
        **IBN,
        "MODEL__META_ARCHITECTURE": "MGN",
        "MODEL__BACKBONE__WITH_NL": False,
        "MODEL__HEADS__EMBEDDING_DIM": 256,
    },
}


def golden_cfg(**options: object) -> CfgNode:
    """Return the config of the bag of tricks with 751 identities and other options; "__" stands for a dot."""
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.HEADS.NUM_CLASSES", 751, "MODEL.BACKBONE.STEM_POOL", "ceil"])
    cfg.merge_from_list([part for key, value in options.items() for part in (key.replace("__", "."), value)])
    return cfg


def generator(name: str) -> torch.Generator:
    """Return the generator of an entry; the second set of figures puts "extra" before each name."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def golden_value(name: str, like: Tensor, salt: str = "") -> Tensor:
    """Return the value of an entry of the state dict."""
    if not like.is_floating_point():
        return torch.zeros_like(like)
    r = torch.randn(like.shape, generator=generator(salt + name))
    if name.endswith("running_var"):
        value = 1 + 0.1 * r.abs()
    elif name.endswith("running_mean"):
        value = 0.1 * r
    elif r.dim() >= 2:
        value = r * (2 / r[0].numel()) ** 0.5
    elif name.endswith("weight"):
        value = 0.6 + 0.06 * r
    elif name.endswith(".p"):
        value = torch.full_like(r, 3.0)
    else:
        value = 0.1 * r
    return value * 0.1 if salt and "NL_" in name else value


def fill(model: nn.Module, salt: str = "") -> None:
    """Give a model the weights of the figures."""
    state: Mapping[str, Tensor] = model.state_dict()
    model.load_state_dict({name: golden_value(name, value, salt) for name, value in state.items()})


def golden_images(size: tuple[int, int], salt: str = "") -> Tensor:
    """Return the images (4, 3, H, W) in 0..255."""
    small = torch.rand(4, 3, 8, 4, generator=generator(salt + "images")) * 255
    return F.interpolate(small, size=size, mode="bilinear", align_corners=False)
