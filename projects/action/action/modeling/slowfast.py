"""SlowFast's backbone: a pathway that sees few frames with many channels, and one that sees many with few."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .conv import ConvModule, norm_layer
from .resnet3d import ResNet3d, init_weights

FRAME_CHOICES = ("stride", "linspace")


class ResNet3dSlowFast(nn.Module):
    """Two `ResNet3d` with lateral connections from Fast to Slow (arXiv:1812.03982).

    After the stem and after each of the first three stages, a convolution of Fast's features, with a stride in time, is
    concatenated behind Slow's channels.

    Args:
        resample_rate: Slow gets one of so many frames of the clip.
        speed_ratio: frames of Fast per frame of Slow (alpha in the paper).
        channel_ratio: Fast has base_channels / channel_ratio channels (1 / beta), where `fast_pathway` says nothing.
        slow_pathway: arguments of Slow's `ResNet3d`, with MMAction2's names: also "fusion_kernel", the laterals'
            kernel in time, "lateral" and "lateral_norm" (batch normalisation and ReLU after a lateral).
        fast_pathway: arguments of Fast's.
        frame_choice: which frames a pathway gets: "stride" takes every n-th from 0 (MMAction2), "linspace" as many,
            evenly spaced from the first to the last and cut to integers (PySlowFast, pytorchvideo). Weights expect the
            choice that they were trained with.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        resample_rate: int = 8,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        slow_pathway: Mapping[str, Any] | None = None,
        fast_pathway: Mapping[str, Any] | None = None,
        frame_choice: str = "stride",
    ) -> None:
        super().__init__()
        if frame_choice not in FRAME_CHOICES:
            raise ValueError(f"frame_choice is one of {', '.join(FRAME_CHOICES)}; came {frame_choice!r}")
        if resample_rate % speed_ratio:
            raise ValueError(
                f"resample_rate is a multiple of speed_ratio, so that Fast gets every n-th frame; came {resample_rate} "
                f"and {speed_ratio}"
            )
        self.resample_rate, self.speed_ratio, self.frame_choice = resample_rate, speed_ratio, frame_choice
        slow = {"conv1_kernel": (1, 7, 7), "inflate": (0, 0, 1, 1), **_pathway(slow_pathway)}
        fast = {"conv1_kernel": (5, 7, 7), "inflate": (1, 1, 1, 1), **_pathway(fast_pathway)}
        lateral = slow.pop("lateral", True)
        kernel, with_norm = slow.pop("fusion_kernel", 5), slow.pop("lateral_norm", False)
        for unused in ("lateral", "fusion_kernel", "lateral_norm"):
            fast.pop(unused, None)
        fast.setdefault("base_channels", slow.get("base_channels", 64) // channel_ratio)
        self.fast_path = ResNet3d(**fast)
        channels = [fast["base_channels"], *self.fast_path.stage_channels[:3]]
        extra = tuple(2 * count for count in channels) if lateral else (0, 0, 0, 0)
        self.slow_path = ResNet3d(**slow, extra_channels=extra)
        self._laterals = ("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral") if lateral else ()
        norm = norm_layer((slow.get("norm_cfg") or {}).get("type", "BN3d")) if with_norm else None
        for name, count in zip(self._laterals, channels):
            connection = ConvModule(
                count, 2 * count, (kernel, 1, 1), stride=(speed_ratio, 1, 1), norm=norm, act=with_norm
            )
            init_weights(connection, zero_init_residual=False)
            self.slow_path.add_module(name, connection)

    @property
    def out_channels(self) -> tuple[int, int]:
        """Channels of Slow's and of Fast's features."""
        return self.slow_path.out_channels, self.fast_path.out_channels

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last features of Slow and Fast, (N, C, T_slow, H, W) and (N, C, T_fast, H, W).

        Args:
            clips: (N, C, T, H, W), with T at least resample_rate.
        """
        slow = self.slow_path.stem(self._frames(clips, self.resample_rate))
        fast = self.fast_path.stem(self._frames(clips, self.resample_rate // self.speed_ratio))
        for number in range(1, 5):
            if self._laterals:
                lateral = self.slow_path.get_submodule(self._laterals[number - 1])
                slow = torch.cat((slow, lateral(fast)), dim=1)
            slow = self.slow_path.stage(number)(slow)
            fast = self.fast_path.stage(number)(fast)
        return slow, fast

    def _frames(self, clips: Tensor, rate: int) -> Tensor:
        if rate == 1:
            return clips
        frames = clips.shape[2]
        if frames < rate:
            raise ValueError(f"a clip of {frames} frames is too short for a pathway that takes one of {rate} frames")
        count = frames // rate
        if self.frame_choice == "stride":
            return clips[:, :, : count * rate : rate]
        # Computed as the other libraries do: their float32 steps, cut to integers.
        return clips.index_select(2, torch.linspace(0, frames - 1, count).long().to(clips.device))


def _pathway(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a pathway; keys that have only one supported value are checked and dropped."""
    settings = dict(settings or {})
    kind = settings.pop("type", "resnet3d")
    if kind not in ("resnet3d", "ResNet3dPathway"):
        raise ValueError(f"the type of a pathway is 'resnet3d'; came {kind!r}")
    return without_fixed(settings)


FIXED: dict[str, tuple[Any, ...]] = {
    "pretrained": (None,),
    "pretrained2d": (True, False),
    "dilations": ((1, 1, 1, 1), [1, 1, 1, 1]),
    "conv1_stride_t": (1,),
    "pool1_stride_t": (1,),
    "with_pool1": (True,),
    "with_pool2": (False,),
    "temporal_strides": ((1, 1, 1, 1), [1, 1, 1, 1]),
    "num_stages": (4,),
    "style": ("pytorch",),
    "conv_cfg": ({"type": "Conv3d"}, None),
    "act_cfg": ({"type": "ReLU", "inplace": True}, {"type": "ReLU"}, None),
    "with_cp": (False,),
    "out_indices": ((3,), [3]),
    "non_local": ((0, 0, 0, 0), [0, 0, 0, 0]),
}
"""Arguments of MMAction2's ResNet3d of which only these values are supported."""


def without_fixed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` without the keys of `FIXED`.

    Raises:
        ValueError: one of them has a value that is not supported.
    """
    for key, supported in FIXED.items():
        if key in settings and settings[key] not in supported:
            raise ValueError(f"{key} of a ResNet3d: {settings[key]!r} is not supported, only {supported[0]!r}")
    return {key: value for key, value in settings.items() if key not in FIXED}
