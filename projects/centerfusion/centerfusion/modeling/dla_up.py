"""From the trunk's maps at strides 4 to 32 to one map at stride 4 (CenterNet's DLAUp and IDAUp)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from steploop.modeling.layers.deform_conv import ModulatedDeformConv2d

Node = Callable[[int, int], nn.Module]


class DeformableNode(nn.Module):
    """A 3x3 deformable convolution, batch normalisation and ReLU ("dcn")."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
        self.conv = ModulatedDeformConv2d(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        out: Tensor = self.actf(self.conv(x))
        return out


class ConvNode(nn.Module):
    """A 1x1 convolution, batch normalisation and ReLU ("conv")."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        out: Tensor = self.conv(x)
        return out


class GlobalConvNode(nn.Module):
    """Two 7x7 kernels, each in a row and a column (arXiv:1703.02719), batch normalisation and ReLU ("gcn")."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 7) -> None:
        super().__init__()
        half = kernel // 2
        tall = {"kernel_size": (kernel, 1), "padding": (half, 0), "bias": False}
        wide = {"kernel_size": (1, kernel), "padding": (0, half), "bias": False}
        self.gcl = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, **tall),  # type: ignore[arg-type]
            nn.Conv2d(out_channels, out_channels, **wide),  # type: ignore[arg-type]
        )
        self.gcr = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, **wide),  # type: ignore[arg-type]
            nn.Conv2d(out_channels, out_channels, **tall),  # type: ignore[arg-type]
        )
        self.act = nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H, W)."""
        out: Tensor = self.act(self.gcl(x) + self.gcr(x))
        return out


# Kind of node -> (of the projections, of the nodes that follow a sum).
NODES: dict[str, tuple[Node, Node]] = {
    "dcn": (DeformableNode, DeformableNode),
    "conv": (ConvNode, ConvNode),
    "gcn": (ConvNode, GlobalConvNode),
}


class IDAUp(nn.Module):
    """Iterative aggregation: each coarser map is projected, enlarged and added to the one before it.

    Args:
        out_channels: of every projection.
        in_channels: of the maps, finest first.
        factors: by how much each map is enlarged; the first is not.
        node: "dcn", "conv" or "gcn".
    """

    def __init__(self, out_channels: int, in_channels: Sequence[int], factors: Sequence[int], node: str) -> None:
        super().__init__()
        projection, joint = NODES[node]
        self.length = len(in_channels)
        for i in range(1, self.length):
            factor = factors[i]
            enlarge = nn.ConvTranspose2d(
                out_channels,
                out_channels,
                2 * factor,
                stride=factor,
                padding=factor // 2,
                groups=out_channels,
                bias=False,
            )
            _start_bilinear(enlarge)
            self.add_module(f"proj_{i}", projection(in_channels[i], out_channels))
            self.add_module(f"up_{i}", enlarge)
            self.add_module(f"node_{i}", joint(out_channels, out_channels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps, finest first, all of the first one's size; the last one has seen all of them."""
        out = [maps[0]]
        for i in range(1, self.length):
            enlarged = self.get_submodule(f"up_{i}")(self.get_submodule(f"proj_{i}")(maps[i]))
            out.append(self.get_submodule(f"node_{i}")(enlarged + out[-1]))
        return out


class DLAUp(nn.Module):
    """Aggregates the maps from the two coarsest to all of them.

    Args:
        channels: of the maps at strides 4, 8, 16 and 32.
        node: "dcn", "conv" or "gcn".
    """

    def __init__(self, channels: Sequence[int], node: str) -> None:
        super().__init__()
        self.length = len(channels) - 1
        now = list(channels)
        for i in range(self.length):
            first = len(channels) - i - 2
            out_channels = channels[first]
            self.add_module(f"ida_{i}", IDAUp(out_channels, now[first:], [1] + [2] * (i + 1), node))
            now[first + 1 :] = [out_channels] * (i + 1)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return one map for each stride, finest first."""
        now = list(maps)
        out = [now[-1]]
        for i in range(self.length):
            first = len(now) - i - 2
            now[first:] = self.get_submodule(f"ida_{i}")(now[first:])
            out.insert(0, now[-1])
        return out


def _start_bilinear(layer: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution enlarge bilinearly; it is trained from there."""
    size = layer.kernel_size[0]
    factor = (size + 1) // 2
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    line = 1 - (torch.arange(size) / factor - centre).abs()
    with torch.no_grad():
        layer.weight.copy_(line[:, None] * line[None, :])
