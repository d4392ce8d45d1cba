"""Vision transformer (arXiv:2010.11929) with overlapping patches, with timm's names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from ..checkpoint_names import convert_names
from .choices import start_from_file, variant

_PATCH = 16


class ViTShape(NamedTuple):
    """The numbers of a transformer.

    Attributes:
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        mlp_ratio: inner channels of a block's perceptron, relative to `width`.
        qkv_bias: whether queries, keys and values have a bias.
        scale: of the attention's products; None is (width / heads) ** -0.5.
        eps: of the layer normalisation.
    """

    width: int
    depth: int
    heads: int
    mlp_ratio: float
    qkv_bias: bool
    scale: float | None
    eps: float


_VARIANTS = {
    "base": ViTShape(768, 12, 12, 4.0, True, None, 1e-6),
    # The scale of this one is a property of its published weights.
    "small": ViTShape(768, 8, 8, 3.0, False, 768**-0.5, 1e-6),
}


class Attention(nn.Module):
    """Self-attention of several heads over tokens (B, N, C)."""

    def __init__(self, shape: ViTShape, drop: float, attention_drop: float) -> None:
        super().__init__()
        self.heads = shape.heads
        self.scale = shape.scale
        self.attention_drop = attention_drop
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=shape.qkv_bias)
        self.proj = nn.Linear(shape.width, shape.width)
        self.proj_drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        batch, count, width = x.shape
        qkv = self.qkv(x).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        drop = self.attention_drop if self.training else 0.0
        query, key, value = qkv.unbind(0)
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=drop, scale=self.scale)
        dropped: Tensor = self.proj_drop(self.proj(out.transpose(1, 2).reshape(batch, count, width)))
        return dropped


class MLP(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, inner: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        out: Tensor = self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each behind a layer normalisation and beside a shortcut.

    While it trains, each of the two is left out for a share `drop_path` of the samples (arXiv:1603.09382).
    """

    def __init__(self, shape: ViTShape, drop: float, attention_drop: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.attn = Attention(shape, drop, attention_drop)
        self.norm2 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.mlp = MLP(shape.width, int(shape.width * shape.mlp_ratio), drop)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        x = x + self._thinned(self.attn(self.norm1(x)))
        return x + self._thinned(self.mlp(self.norm2(x)))

    def _thinned(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return x
        keep = torch.empty(len(x), 1, 1, device=x.device, dtype=x.dtype).bernoulli_(1 - self.drop_path)
        return x * keep / (1 - self.drop_path)


class PatchEmbed(nn.Module):
    """A convolution from patches to tokens."""

    def __init__(self, width: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, _PATCH, stride)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, N, width)."""
        tokens: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return tokens


class VisionTransformer(Backbone):
    """Vision transformer without its classifier: the class token (N, width, 1, 1) as the only output, "token".

    Args:
        shape: of the network.
        image_size: height and width of the images; others are an error.
        stride: of the patches of 16x16 pixels, along height and width; below 16 they overlap.
        drop: share of values that dropout sets to 0.
        attention_drop: likewise, of the attention's weights.
        drop_path: share of samples that skip a part of the last block; it rises from 0 along the blocks.

    Raises:
        ValueError: the image is smaller than a patch.
    """

    def __init__(
        self,
        shape: ViTShape,
        image_size: Sequence[int],
        *,
        stride: Sequence[int] = (_PATCH, _PATCH),
        drop: float = 0.0,
        attention_drop: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        height, width = image_size
        if min(height, width) < _PATCH:
            raise ValueError(f"a vision transformer needs images of at least {_PATCH}x{_PATCH}, got {height}x{width}")
        self.image_size = (height, width)
        self.grid = ((height - _PATCH) // stride[0] + 1, (width - _PATCH) // stride[1] + 1)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], shape.width))
        self.patch_embed = PatchEmbed(shape.width, (stride[0], stride[1]))
        self.pos_drop = nn.Dropout(drop)
        shares = [drop_path * i / max(1, shape.depth - 1) for i in range(shape.depth)]
        self.blocks = nn.ModuleList(Block(shape, drop, attention_drop, share) for share in shares)
        self.norm = nn.LayerNorm(shape.width, eps=shape.eps)
        self._channels = shape.width
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images (N, 3, height, width) to {"token": (N, width, 1, 1)}."""
        if tuple(images.shape[2:]) != self.image_size:
            raise ValueError(
                f"this vision transformer has positions for images of {self.image_size}, got {(*images.shape[2:],)}: "
                "set MODEL.BACKBONE.IMAGE_SIZE to the size of the images"
            )
        x = self.patch_embed(images)
        x = self.pos_drop(torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self.pos_embed)
        for block in self.blocks:
            x = block(x)
        return {"token": self.norm(x)[:, 0, :, None, None]}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return the channels of "token"; its one cell covers the whole image."""
        return {"token": ShapeSpec(self._channels, max(self.image_size))}


def resize_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return a table of positions (1, 1 + H * W, C) for another grid: the class token's row stays.

    Args:
        table: (1, 1 + S * S, C), of a square grid.
        grid: H and W.

    Raises:
        ValueError: the table is of no square grid.
    """
    side = int((table.shape[1] - 1) ** 0.5)
    if side * side != table.shape[1] - 1:
        raise ValueError(f"a table of {table.shape[1]} positions is not that of a class token and a square grid")
    square = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(square.float(), size=grid, mode="bilinear", align_corners=False).to(table.dtype)
    return torch.cat((table[:, :1], resized.flatten(2).transpose(1, 2)), dim=1)


def convert_vit(state: Mapping[str, Any], expected: Mapping[str, Any], grid: tuple[int, int]) -> Mapping[str, Any]:
    """Return a file's entries for a transformer of another grid; of distilled ones, without the second token."""
    state = dict(state)
    table = state.get("pos_embed")
    if isinstance(table, Tensor) and table.shape != expected["pos_embed"].shape:
        if "dist_token" in state:
            table = torch.cat((table[:, :1], table[:, 2:]), dim=1)
        state["pos_embed"] = resize_positions(table, grid)
    state.pop("dist_token", None)
    return convert_names(state, expected)


@BACKBONE_REGISTRY.register()
def build_vit_backbone(cfg: CfgNode) -> VisionTransformer:
    """Build the vision transformer of MODEL.BACKBONE.

    DEPTH is "base" or "small"; IMAGE_SIZE, STRIDE_SIZE, DROP_RATIO, ATT_DROP_RATE, DROP_PATH_RATIO.
    """
    options = cfg.MODEL.BACKBONE
    backbone = VisionTransformer(
        variant(cfg, _VARIANTS),
        options.IMAGE_SIZE,
        stride=options.STRIDE_SIZE,
        drop=options.DROP_RATIO,
        attention_drop=options.ATT_DROP_RATE,
        drop_path=options.DROP_PATH_RATIO,
    )

    def convert(state: Mapping[str, Any], expected: Mapping[str, Any]) -> Mapping[str, Any]:
        return convert_vit(state, expected, backbone.grid)

    return start_from_file(cfg, backbone, "head.", "head_dist.", "pre_logits.", convert=convert)
