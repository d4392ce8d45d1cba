"""What all re-ID models share: pixels in, an embedding or losses out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config import CfgNode
from steploop.modeling import Backbone

Losses = dict[str, Tensor]


class ReidModel(nn.Module, ABC):
    """Normalises pixels, and looks at an image as often as an evaluation asks for.

    A subclass implements `embed` and `losses_of`.

    Args:
        pixel_mean: mean of each channel, in 0..255.
        pixel_std: standard deviation of each channel, in 0..255.
        test_turns: in how many orientations (1, 2 or 4) an image is looked at in eval mode; if there are several, the
            normalised embeddings are put side by side.
        test_flip: in eval mode, return the mean of the embeddings of the image and of the mirrored one.

    Raises:
        ValueError: `test_turns` is another number.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        test_turns: int = 1,
        test_flip: bool = False,
    ) -> None:
        super().__init__()
        if test_turns not in (1, 2, 4):
            raise ValueError(f"TEST.TURNS is 1, 2 or 4 orientations of an image; got {test_turns}")
        self.test_turns = test_turns
        self.test_flip = test_flip
        # Not in checkpoints: the config says them, and published weights do not hold them.
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Return the embeddings (B, D) of normalised images (B, 3, H, W); called in eval mode."""

    @abstractmethod
    def losses_of(self, images: Tensor, targets: Tensor) -> tuple[Losses, Losses]:
        """Return losses and metrics, all 0-d, of normalised images and targets; called in train mode."""

    def forward(self, batch: Mapping[str, Any]) -> Tensor | tuple[Losses, Losses]:
        """Return the embedding (B, D * test_turns) in eval mode; the losses and the metrics, all 0-d, in train mode.

        The metric of every model is ``cls_accuracy``, the share of the batch in 0..1 that the classifier gets right.

        Args:
            batch: "images" (B, 3, H, W), uint8 or float in 0..255, RGB, on any device and not changed; in train mode
                also "targets" (B,), the identities, int64 in 0..K-1.

        Raises:
            KeyError: "targets" is missing in train mode.
            ValueError: images of another shape.
        """
        images = self.normalize(batch["images"])
        if not self.training:
            return self._embed(images)
        if "targets" not in batch:
            raise KeyError('a batch in train mode needs "targets" beside "images": call model.eval() to get embeddings')
        return self.losses_of(images, batch["targets"].to(images.device, non_blocking=True))

    def _embed(self, images: Tensor) -> Tensor:
        if self.test_turns == 1:
            return self._embed_upright(images)
        quarters = range(0, 4, 4 // self.test_turns)
        turned = [self._embed_upright(torch.rot90(images, quarter, dims=(2, 3))) for quarter in quarters]
        return torch.cat([nn.functional.normalize(embedding) for embedding in turned], dim=1)

    def _embed_upright(self, images: Tensor) -> Tensor:
        embedding = self.embed(images)
        return (embedding + self.embed(images.flip(3))) / 2 if self.test_flip else embedding

    def normalize(self, images: Tensor) -> Tensor:
        """Return images (B, 3, H, W) in 0..255 as floats with zero mean and unit deviation, on the model's device."""
        if images.dim() != 4 or images.shape[1] != len(self.pixel_mean):
            raise ValueError(f'"images" must have shape (B, {len(self.pixel_mean)}, H, W), got {(*images.shape,)}')
        # Bytes travel to the device and become floats there.
        images = images.to(self.pixel_mean.device, non_blocking=True).to(self.pixel_mean.dtype)
        return (images - self.pixel_mean) / self.pixel_std


def pixels_and_tests(cfg: CfgNode) -> dict[str, Any]:
    """Return the arguments of `ReidModel` that a config holds."""
    return {
        "pixel_mean": cfg.MODEL.PIXEL_MEAN,
        "pixel_std": cfg.MODEL.PIXEL_STD,
        "test_turns": cfg.TEST.TURNS,
        "test_flip": cfg.TEST.FLIP.ENABLED,
    }


def accuracy(pred_class_logits: Tensor, targets: Tensor) -> Tensor:
    """Return the share of samples, 0-d in 0..1, whose largest logit is that of their class."""
    return (pred_class_logits.argmax(dim=1) == targets).float().mean()


def channels_of(cfg: CfgNode, backbone: Backbone) -> int:
    """Return the channels of the backbone's last output.

    Raises:
        ValueError: MODEL.BACKBONE.EXPECTED_CHANNELS (fast-reid's FEAT_DIM) expects others.
    """
    channels = backbone.output_shape()[backbone.last_output].channels
    expected = cfg.MODEL.BACKBONE.EXPECTED_CHANNELS
    if expected not in (0, channels):
        raise ValueError(
            f"{cfg.MODEL.BACKBONE.NAME} {cfg.MODEL.BACKBONE.DEPTH} has {channels} channels, but the config expects "
            f"{expected} (MODEL.BACKBONE.EXPECTED_CHANNELS; FEAT_DIM in a config of fast-reid's): set it to {channels}"
        )
    return channels
