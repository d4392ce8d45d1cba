"""The recipe of weights, clips and models by which the golden figures of video recognition were recorded."""

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared_files import shared
from steploop.projects.action.modeling import Recognizer3D, build_recognizer

MEAN = torch.tensor([123.675, 116.28, 103.53])
STD = torch.tensor([58.395, 57.12, 57.375])


def golden(name: str) -> Any:
    return np.load(shared("golden/action") / name, allow_pickle=False)


def recipe(name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    draw = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("running_var"):
        return 1 + 0.1 * draw.abs()
    if name.endswith("running_mean"):
        return 0.1 * draw
    if draw.ndim >= 2:
        return draw * (2 / draw[0].numel()) ** 0.5
    return 0.6 + 0.06 * draw if name.endswith("weight") else 0.1 * draw


def fill(model: nn.Module) -> None:
    model.load_state_dict({name: recipe(name, v.shape, v.dtype) for name, v in model.state_dict().items()})


def clips(shape: Any) -> Tensor:
    n, t, h, w = map(int, shape)
    generator = torch.Generator().manual_seed(zlib.crc32(b"clips"))
    small = torch.rand(n, 3, max(2, t // 2), 5, 6, generator=generator) * 255
    large = F.interpolate(small, size=(t, h, w), mode="trilinear", align_corners=False)
    return (large - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)


def slowfast_spec(depth: int = 50, num_classes: int = 10, **backbone: Any) -> dict[str, Any]:
    slow = {"type": "resnet3d", "depth": depth, "pretrained": None, "lateral": True, "conv1_kernel": (1, 7, 7)}
    slow |= {"dilations": (1, 1, 1, 1), "conv1_stride_t": 1, "pool1_stride_t": 1, "inflate": (0, 0, 1, 1)}
    fast = {"type": "resnet3d", "depth": depth, "pretrained": None, "lateral": False, "base_channels": 8}
    fast |= {"conv1_kernel": (5, 7, 7), "conv1_stride_t": 1, "pool1_stride_t": 1}
    net = {"type": "ResNet3dSlowFast", "pretrained": None, "resample_rate": 8, "speed_ratio": 8, "channel_ratio": 8}
    return {
        "type": "Recognizer3D",
        "backbone": {**net, "slow_pathway": slow, "fast_pathway": fast, **backbone},
        "cls_head": {
            "type": "SlowFastHead",
            "in_channels": 2304 if depth >= 50 else 576,
            "num_classes": num_classes,
            "spatial_type": "avg",
            "dropout_ratio": 0.0,
        },
    }


def slowonly_spec(num_classes: int = 10) -> dict[str, Any]:
    backbone = {"type": "ResNet3dSlowOnly", "depth": 50, "pretrained": None, "lateral": False}
    backbone |= {"conv1_kernel": (1, 7, 7), "conv1_stride_t": 1, "pool1_stride_t": 1}
    backbone |= {"inflate": (0, 0, 1, 1), "norm_eval": False}
    head = {"type": "I3DHead", "in_channels": 2048, "num_classes": num_classes, "dropout_ratio": 0.0}
    return {"type": "Recognizer3D", "backbone": backbone, "cls_head": head}


SPECS = {
    "slowfast_r50_4x16": slowfast_spec(),
    "slowfast_r18_4x16": slowfast_spec(18),
    "slowonly_r50_4x16": slowonly_spec(),
}


def golden_model(name: str) -> Recognizer3D:
    # Drawing initial weights only to replace them would take seconds of each test.
    model = build_recognizer(SPECS[name])
    fill(model)
    return model
