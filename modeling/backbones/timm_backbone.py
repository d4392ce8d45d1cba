"""Any image model of timm as a backbone; timm is an extra, imported where it is built."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config import CfgNode

from ..build import BACKBONE_REGISTRY, Backbone, ShapeSpec
from .choices import start_from_file

_HINT = (
    "MODEL.BACKBONE.NAME build_timm_backbone needs timm, which needs torchvision of the same release and source as "
    "torch: pip install 'steploop[timm]' beside torch {version}, with torchvision from the same index (for a CPU build "
    "of torch: --index-url https://download.pytorch.org/whl/cpu). The import failed with: {error}"
)


class TimmBackbone(Backbone):
    """A model of timm without its head: images (N, 3, H, W) to one map "res5".

    Tokens (N, T, C) are folded to a map; class and register tokens before them are dropped. If they do not fill the
    grid, the first token is taken as (N, C, 1, 1).

    Args:
        model: of timm, made with ``num_classes=0, global_pool=""``.
        stride: pixels of the image per cell of the map.
    """

    def __init__(self, model: nn.Module, stride: int) -> None:
        super().__init__()
        self.model = model
        self._shape = ShapeSpec(int(model.num_features), stride)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map normalised images to {"res5": (N, C, h, w)}."""
        features: Tensor = self.model.forward_features(images)  # type: ignore[operator]
        if features.dim() == 4:
            # Some families (Swin) have the channels last.
            is_last = features.shape[1] != self._shape.channels and features.shape[-1] == self._shape.channels
            return {"res5": features.permute(0, 3, 1, 2) if is_last else features}
        return {"res5": self._fold(features, images.shape[2:])}

    def _fold(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        prefix = int(getattr(self.model, "num_prefix_tokens", 0))
        height, width = size[0] // self._shape.stride, size[1] // self._shape.stride
        if tokens.shape[1] - prefix != height * width:
            return tokens[:, 0, :, None, None]
        return tokens[:, prefix:].transpose(1, 2).unflatten(2, (height, width))

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Return channels and stride of "res5"."""
        return {"res5": self._shape}


@BACKBONE_REGISTRY.register()
def build_timm_backbone(cfg: CfgNode) -> TimmBackbone:
    """Build the model of timm that MODEL.BACKBONE.DEPTH names, such as "convnext_tiny"; IMAGE_SIZE for transformers.

    Weights come from PRETRAIN_PATH, a file under timm's names; nothing is downloaded.

    Raises:
        ImportError: timm cannot be imported; the error names what it needs.
        ValueError: timm has no such model.
    """
    try:
        import timm  # type: ignore[import-not-found, unused-ignore]
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another build
        raise ImportError(_HINT.format(version=torch.__version__, error=error)) from error
    options = cfg.MODEL.BACKBONE
    name = str(options.DEPTH)
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise ValueError(f"timm has no model {name!r} (MODEL.BACKBONE.DEPTH); similar ones: {close or 'none'}")
    arguments: dict[str, Any] = {"pretrained": False, "num_classes": 0, "global_pool": ""}
    try:
        model = timm.create_model(name, img_size=tuple(options.IMAGE_SIZE), **arguments)
    except TypeError:  # convolutional networks take images of any size
        model = timm.create_model(name, **arguments)
    backbone = TimmBackbone(model, _stride(model))
    return start_from_file(cfg, backbone, "model.head.", "model.fc.", "head.", "fc.", "classifier.")


def _stride(model: nn.Module) -> int:
    info = getattr(model, "feature_info", None)
    if info:
        last = info[-1] if isinstance(info, list) else info.info[-1]
        return int(last["reduction"])
    return 32
