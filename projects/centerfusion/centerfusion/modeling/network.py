"""The network of CenterFusion and of CenterNet with the same trunk (arXiv:2011.04841, arXiv:1904.07850)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .association import Frustums, associate_predicted
from .dla import DLA
from .dla_up import DLAUp, IDAUp
from .heads import HeadNames, build_head

RADAR_MAPS = 3


class CenterFusionNet(nn.Module):
    """Images, and radar maps, to the raw output maps at stride 4.

    The first stage's heads see the image's features; with radar, their boxes collect radar points, and the second
    stage's heads see the features and the radar maps. Entries of the state dict have the published names.

    Args:
        radar: CenterFusion; False is its CenterNet baseline.
        node: of the upsampling: "dcn", "conv" or "gcn".
        channels: of the trunk's six levels.
        head_channels: of the hidden layers of every head.
        secondary_layers: hidden layers of the second stage's heads.
        frustums: how radar is associated with predicted boxes.
    """

    def __init__(
        self,
        *,
        radar: bool = True,
        node: str = "dcn",
        channels: Sequence[int] = (16, 32, 64, 128, 256, 512),
        head_channels: int = 256,
        secondary_layers: int = 3,
        frustums: Frustums | None = None,
    ) -> None:
        super().__init__()
        self.head_names = HeadNames.of(radar)
        self.frustums = frustums or Frustums()
        feature = channels[2]
        for name, count in self.head_names.primary.items():
            self.add_module(name, build_head(name, feature, head_channels, count))
        for name, count in self.head_names.secondary.items():
            head = build_head(name, feature + RADAR_MAPS, head_channels, count, secondary_layers)
            self.add_module(name, head)
        self.base = DLA(channels=channels)
        self.dla_up = DLAUp(channels[2:], node)
        self.ida_up = IDAUp(feature, channels[2:5], (1, 2, 4), node)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, H, W) to (B, channels[2], H / 4, W / 4).

        Raises:
            ValueError: a side is not divisible by 32.
        """
        if images.shape[2] % 32 or images.shape[3] % 32:
            raise ValueError(
                f"images of {images.shape[2]} x {images.shape[3]} pixels do not fit: DLA needs sides that are "
                "multiples of 32, such as 448 x 800"
            )
        maps = list(self.base(images).values())[2:]
        out: Tensor = self.ida_up(self.dla_up(maps)[:3])[-1]
        return out

    def compute_maps(
        self,
        images: Tensor,
        radar: Tensor | None = None,
        calib: Tensor | None = None,
        associated: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the raw output maps, (B, C, H / 4, W / 4) by name, and "pc_hm", the radar maps that were used.

        Args:
            images: (B, 3, H, W), normalised.
            radar: (B, 3, H / 4, W / 4): depth, vx, vz; needed where `associated` is not given.
            calib: (B, 3, 4), likewise.
            associated: radar maps that are associated already, as with the true boxes in training.
        """
        feature = self.features(images)
        outputs = {name: self.get_submodule(name)(feature) for name in self.head_names.primary}
        if not self.head_names.secondary:
            return outputs
        if associated is None:
            if radar is None or calib is None:
                raise ValueError("expected radar maps and calibration, or radar maps that are associated already")
            primary = {name: value.detach() for name, value in outputs.items()}
            associated = associate_predicted(primary, radar, calib, self.frustums)
        both = torch.cat((feature, associated.to(feature.dtype)), dim=1)
        outputs |= {name: self.get_submodule(name)(both) for name in self.head_names.secondary}
        return {**outputs, "pc_hm": associated}
