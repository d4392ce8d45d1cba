"""Deformable convolution, version 2 (arXiv:1811.11168), without a compiled extension."""

import functools
import logging
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

logger = logging.getLogger(__name__)

# What the import or the first call of a torchvision that was built for another torch raises.
_BROKEN = (ImportError, OSError, RuntimeError, AttributeError, NotImplementedError)


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve `x` at displaced positions: the results of ``torchvision.ops.deform_conv2d``.

    Each tap reads `x` bilinearly at output position * stride - padding + tap * dilation + offset; corners outside of
    the image count 0. On CUDA torchvision's operator computes it, where torchvision is installed and works. Elsewhere
    it is `deform_conv2d_bags`, which on a CPU has the faster backward pass and gives the same bits again.

    Args:
        x: (B, C, H, W).
        offset: (B, G * 2 * kh * kw, H', W') in pixels; (y, x) for each tap, taps row by row, for each of G groups of
            channels.
        weight: (O, C / groups, kh, kw).
        bias: (O,).
        stride: of both axes.
        padding: of both axes.
        dilation: of both axes.
        mask: (B, G * kh * kw, H', W'), factors of the taps; None counts each 1.

    Returns:
        (B, O, H', W').

    Raises:
        ValueError: the shapes do not fit.
    """
    _check_shapes(x, offset, weight, mask, stride, padding, dilation)
    if x.is_cuda and (operator := torchvision_operator()) is not None:
        if x.dtype != offset.dtype:  # the operator wants one dtype, and offsets lose too much in half precision
            x, weight = x.to(offset.dtype), weight.to(offset.dtype)
            mask = None if mask is None else mask.to(offset.dtype)
            bias = None if bias is None else bias.to(offset.dtype)
        return operator(x, offset, weight, bias, stride, padding, dilation, mask)
    return deform_conv2d_bags(x, offset, weight, bias, stride=stride, padding=padding, dilation=dilation, mask=mask)


def deform_conv2d_bags(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """`deform_conv2d` in plain torch: each tap is a weighted sum (a "bag") of four rows of a table of pixels.

    An offset that is not finite makes the output at its position NaN, so that the loss shows it.
    """
    batch, channels, height, width = x.shape
    out_channels, _, kernel_h, kernel_w = weight.shape
    taps = kernel_h * kernel_w
    offset_groups = offset.shape[1] // (2 * taps)
    out_h, out_w = offset.shape[2:]
    # Positions need all the digits of float32 also where autocast halves the image.
    moved = offset.to(torch.promote_types(offset.dtype, torch.float32))
    moved = moved.view(batch, offset_groups, taps, 2, out_h, out_w).permute(3, 0, 4, 5, 2, 1)  # 2, B, H', W', taps, G
    y = moved[0] + _grid(out_h, kernel_h, stride, padding, dilation, moved).view(-1, 1, kernel_h, 1).expand(
        out_h, 1, kernel_h, kernel_w
    ).reshape(out_h, 1, taps, 1)
    x_position = moved[1] + _grid(out_w, kernel_w, stride, padding, dilation, moved).view(-1, 1, kernel_w).expand(
        out_w, kernel_h, kernel_w
    ).reshape(1, out_w, taps, 1)
    modulation = None if mask is None else mask.view(batch, offset_groups, taps, out_h, out_w).permute(0, 3, 4, 2, 1)
    rows, shares = _corners(y, x_position, modulation, height, width)
    images = torch.arange(batch, device=x.device).view(batch, 1, 1, 1, 1, 1) * (height * width)
    groups = torch.arange(offset_groups, device=x.device).view(1, 1, 1, 1, offset_groups, 1)
    index = (rows + images) * offset_groups + groups
    table = x.permute(0, 2, 3, 1).reshape(-1, channels // offset_groups)
    columns = F.embedding_bag(
        index.reshape(-1, 4), table, mode="sum", per_sample_weights=shares.to(table.dtype).reshape(-1, 4)
    )
    out = _weighted_sum(columns.view(-1, taps, channels), weight)
    if bias is not None:
        out = out + bias
    return out.view(batch, out_h, out_w, out_channels).permute(0, 3, 1, 2)


def _grid(size: int, kernel: int, stride: int, padding: int, dilation: int, like: Tensor) -> Tensor:
    """Return the undisplaced position of each (output, tap) along one axis."""
    start = torch.arange(size, device=like.device, dtype=like.dtype) * stride - padding
    return start[:, None] + torch.arange(kernel, device=like.device, dtype=like.dtype) * dilation


def _corners(y: Tensor, x: Tensor, modulation: Tensor | None, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each position, as rows of a flat image, and their shares, both (..., 4).

    The cell is that of floor(y), floor(x), also at whole numbers, where the derivative depends on it. A corner outside
    of the image gets no share.
    """
    top, left = y.detach().floor(), x.detach().floor()
    down, right = y - top, x - left
    # A NaN has no cell: its index is any valid one, and its share stays NaN.
    top_index = top.nan_to_num(0.0, 0.0, 0.0).clamp(-2, height).long()
    left_index = left.nan_to_num(0.0, 0.0, 0.0).clamp(-2, width).long()
    finite = torch.isfinite(down) & torch.isfinite(right)
    rows, shares = [], []
    for below, beside in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = top_index + below, left_index + beside
        valid = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        share = (down if below else 1 - down) * (right if beside else 1 - right)
        if modulation is not None:
            share = share * modulation.to(share.dtype)
        shares.append(torch.where(valid | ~finite, share, torch.zeros_like(share)))
        rows.append(row.clamp(0, height - 1) * width + column.clamp(0, width - 1))
    return torch.stack(rows, dim=-1), torch.stack(shares, dim=-1)


def _weighted_sum(columns: Tensor, weight: Tensor) -> Tensor:
    """Return (N, O) of columns (N, taps, C) and weight (O, C / groups, kh, kw)."""
    out_channels, group_channels = weight.shape[:2]
    groups = columns.shape[2] // group_channels
    if groups == 1:
        return F.linear(columns.flatten(1), weight.flatten(2).permute(0, 2, 1).reshape(out_channels, -1))
    split = columns.unflatten(2, (groups, group_channels))
    kernels = weight.flatten(2).unflatten(0, (groups, out_channels // groups))
    return torch.einsum("ntgc,goct->ngo", split, kernels).flatten(1)


def _check_shapes(
    x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, stride: int, padding: int, dilation: int
) -> None:
    if x.dim() != 4 or x.shape[1] % weight.shape[1]:
        raise ValueError(f"expected (B, C, H, W) with C a multiple of {weight.shape[1]}, got {tuple(x.shape)}")
    taps = math.prod(weight.shape[2:])
    size = tuple(
        (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for length, kernel in zip(x.shape[2:], weight.shape[2:])
    )
    groups = offset.shape[1] // (2 * taps)
    if offset.shape != (x.shape[0], groups * 2 * taps, *size) or groups < 1 or x.shape[1] % groups:
        raise ValueError(
            f"expected offsets of shape {(x.shape[0], 2 * taps, *size)}, or a multiple of its channels that divides "
            f"those of the image, got {tuple(offset.shape)}"
        )
    if mask is not None and mask.shape != (x.shape[0], groups * taps, *size):
        raise ValueError(f"expected a mask of shape {(x.shape[0], groups * taps, *size)}, got {tuple(mask.shape)}")


@functools.cache
def torchvision_operator() -> Callable[..., Any] | None:
    """Return torchvision's ``deform_conv2d`` where it can be imported and run on the CPU, else None.

    The wheel of another torch fails only when it is called.
    """
    try:
        from torchvision.ops import deform_conv2d as operator  # type: ignore[import-not-found, unused-ignore]

        operator(torch.ones(1, 1, 3, 3), torch.zeros(1, 18, 1, 1), torch.ones(1, 1, 3, 3))
    except _BROKEN as error:
        logger.debug("torchvision's deform_conv2d does not work here: %s", error)
        return None
    found: Callable[..., Any] = operator
    return found


class ModulatedDeformConv2d(nn.Module):
    """A deformable convolution that computes its own offsets and masks; CharlesShang's DCNv2 layer, by its names.

    Offsets start as zeros and masks as 0.5, so the layer starts as half an ordinary convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        stride: of both axes.
        padding: of both axes.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        self.num_taps = kernel_size**2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * self.num_taps)
        nn.init.uniform_(self.weight, -bound, bound)
        self.conv_offset_mask = nn.Conv2d(in_channels, 3 * self.num_taps, kernel_size, stride, padding)
        nn.init.zeros_(self.conv_offset_mask.weight)
        assert self.conv_offset_mask.bias is not None
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, O, H', W')."""
        # Offsets in half precision would be rounded to whole pixels in a wide image.
        with torch.autocast(x.device.type, enabled=False):
            raw = self.conv_offset_mask(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x)
        offset, mask = raw.split((2 * self.num_taps, self.num_taps), dim=1)
        return deform_conv2d(
            x, offset, self.weight, self.bias, stride=self.stride, padding=self.padding, mask=mask.sigmoid()
        )
