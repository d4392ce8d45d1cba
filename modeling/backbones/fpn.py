"""The feature pyramid (arXiv:1612.03144): every stage of a backbone at one width, with what the deeper ones know."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.norm import get_norm


class ConvModule(nn.Module):
    """A convolution under the name ``conv``, with a normalisation ``bn`` where one is asked for.

    The convolution has a bias where no normalisation follows.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, norm: str = "") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=not norm)
        self.bn = get_norm(norm, out_channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H / stride, W / stride)."""
        return self.bn(self.conv(x))


class FPN(nn.Module):
    """Maps the stages of a backbone to levels of one width, and adds coarser levels.

    1x1 convolutions bring each stage to `out_channels`; from the coarsest down, each level is enlarged (nearest
    neighbour, to the size of the next one, also where that is odd) and added; a 3x3 convolution ends each level.
    Entries of the state dict have mmdet's names: ``lateral_convs.0.conv.weight``, ``fpn_convs.0.conv.weight``.

    Args:
        in_channels: of each stage that `forward` gets, finest first.
        out_channels: of every level.
        num_outs: levels; those beyond the stages are made by max pooling, or by `extra_convs`.
        start_level: the first stage that is used.
        extra_convs: "" halves the last level by taking every second pixel (P6 of Faster R-CNN); otherwise 3x3
            convolutions with stride 2 make the further levels, the first of them from the last stage ("on_input"), from
            its 1x1 convolution ("on_lateral") or from the last level ("on_output").
        relu_before_extra_convs: apply a ReLU before the further of them (detectron2 and torchvision do).
        norm: normalisation of all convolutions, a name that `get_norm` knows; "" has none.

    Raises:
        ValueError: the levels or `extra_convs` are not possible.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        *,
        start_level: int = 0,
        extra_convs: str = "",
        relu_before_extra_convs: bool = False,
        norm: str = "",
    ) -> None:
        super().__init__()
        used = in_channels[start_level:]
        if not 0 <= start_level < len(in_channels) or num_outs < len(used):
            raise ValueError(
                f"an FPN over stages {start_level} to {len(in_channels) - 1} has at least {max(len(used), 1)} levels; "
                f"num_outs is {num_outs}"
            )
        if extra_convs not in ("", "on_input", "on_lateral", "on_output"):
            raise ValueError(f'extra_convs is "", "on_input", "on_lateral" or "on_output"; came {extra_convs!r}')
        self.out_channels, self.num_outs, self.start_level = out_channels, num_outs, start_level
        self.extra_convs, self.relu_before_extra_convs = extra_convs, relu_before_extra_convs
        self.lateral_convs = nn.ModuleList(ConvModule(channels, out_channels, 1, norm=norm) for channels in used)
        self.fpn_convs = nn.ModuleList(ConvModule(out_channels, out_channels, 3, norm=norm) for _ in used)
        if extra_convs:
            first = in_channels[-1] if extra_convs == "on_input" else out_channels
            for level in range(num_outs - len(used)):
                channels = first if level == 0 else out_channels
                self.fpn_convs.append(ConvModule(channels, out_channels, 3, 2, norm=norm))
        self._reset_convolutions()

    def _reset_convolutions(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, stages: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map the stages (B, in_channels[i], H_i, W_i), finest first, to `num_outs` levels (B, out_channels, ., .)."""
        laterals = [conv(stage) for conv, stage in zip(self.lateral_convs, stages[self.start_level :], strict=True)]
        for level in range(len(laterals) - 1, 0, -1):
            size = laterals[level - 1].shape[2:]
            laterals[level - 1] = laterals[level - 1] + F.interpolate(laterals[level], size=size, mode="nearest")
        levels = [conv(lateral) for conv, lateral in zip(self.fpn_convs, laterals, strict=False)]
        if not self.extra_convs:
            while len(levels) < self.num_outs:
                levels.append(F.max_pool2d(levels[-1], 1, stride=2))
            return tuple(levels)
        source = {"on_input": stages[-1], "on_lateral": laterals[-1], "on_output": levels[-1]}[self.extra_convs]
        for number, conv in enumerate(list(self.fpn_convs)[len(laterals) :]):
            if number > 0:
                source = levels[-1].relu() if self.relu_before_extra_convs else levels[-1]
            levels.append(conv(source))
        return tuple(levels)
