"""A 3D convolution with what stands behind it: batch normalisation and ReLU."""

from collections.abc import Callable

from torch import Tensor, nn

Triple = tuple[int, int, int]

NormLayer = Callable[[int], nn.Module]

_NORMS: dict[str, type[nn.Module]] = {"BN": nn.BatchNorm3d, "BN3d": nn.BatchNorm3d, "SyncBN": nn.SyncBatchNorm}


def norm_layer(name: str) -> NormLayer:
    """Return what makes a normalisation layer of a number of channels (eps 1e-5, momentum 0.1).

    Args:
        name: "BN", "BN3d" or "SyncBN".

    Raises:
        ValueError: the name is another one.
    """
    if name not in _NORMS:
        raise ValueError(f"norm_cfg.type of a 3D network is one of {', '.join(_NORMS)}; came {name!r}")
    return _NORMS[name]


class ConvModule(nn.Module):
    """conv, then bn if there is one, then ReLU if `act`; the names are those of MMAction2's state dicts.

    Args:
        in_channels: of the input (N, C, T, H, W).
        out_channels: of the output.
        kernel: (time, height, width); padded so that a stride of 1 keeps the size.
        stride: (time, height, width).
        norm: makes the normalisation; None leaves it out. The convolution never has a bias.
        act: whether a ReLU follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Triple,
        *,
        stride: Triple = (1, 1, 1),
        norm: NormLayer | None = nn.BatchNorm3d,
        act: bool = True,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = None if norm is None else norm(out_channels)
        self.act = nn.ReLU(inplace=True) if act else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations (N, out_channels, T', H', W')."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.act is None else self.act(x)
