"""The transforms that INPUT asks for, in fast-reid's order."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from steploop import data
from steploop.config import CfgNode

from .augmix import AugMix
from .auto_augment import AutoAugment
from .random_patch import RandomPatch

_MODES = {"edge": "replicate", "reflect": "reflect"}


class PadWithBorder(data.FixedTransform):
    """Adds `padding` pixels to each side of a tensor (3, H, W): "edge" repeats the border, "reflect" mirrors it."""

    def __init__(self, padding: int, mode: str) -> None:
        if mode not in _MODES or padding < 0:
            raise ValueError(
                f'INPUT.PADDING.MODE is "constant", "edge" or "reflect", and SIZE >= 0; got {mode!r}, {padding}'
            )
        self.padding, self.mode = padding, _MODES[mode]

    def draw(self, size: data.Size, rng: np.random.Generator | None = None) -> data.Geometry:
        """Add the border."""
        return _BorderGeometry(size, self.padding, self.mode)


class _BorderGeometry(data.Geometry):
    def __init__(self, size: data.Size, padding: int, mode: str) -> None:
        super().__init__(size, (size[0] + 2 * padding, size[1] + 2 * padding))
        self._padding, self._mode = padding, mode

    def _move(self, image: torch.Tensor) -> torch.Tensor:
        # Reflection is not there for bytes.
        padded = F.pad(image[None].float(), (self._padding,) * 4, mode=self._mode)
        return padded[0].to(image.dtype)


class Sometimes(data.Transform):
    """Applies a transform with probability `p`."""

    def __init__(self, transform: data.Transform, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"expected a probability in 0..1, got {p}")
        self.transform, self.p = transform, p

    def draw(self, size: data.Size, rng: np.random.Generator) -> data.Geometry:
        """Draw from the transform, or not."""
        return self.transform.draw(size, rng) if rng.random() < self.p else data.NoGeometry(size)


def build_test_transforms(cfg: CfgNode) -> data.Compose:
    """Return the transform that brings an image to a uint8 tensor of INPUT.SIZE_TEST; nothing in it is random.

    With CROP, it takes the middle, of CROP.SIZE.

    Raises:
        ValueError: the sizes of images would differ.
    """
    parts = _resize(cfg, cfg.INPUT.SIZE_TEST, "SIZE_TEST")
    if cfg.INPUT.CROP.ENABLED:
        parts += [data.CenterCrop(cfg.INPUT.CROP.SIZE), data.ToTensor()]
    return data.Compose(parts)


def build_resize(cfg: CfgNode) -> data.Compose:
    """Return what brings an image to the size that it is trained in, or for CROP to a size to cut from.

    Raises:
        ValueError: the sizes of images would differ.
    """
    return data.Compose(_resize(cfg, cfg.INPUT.SIZE_TRAIN, "SIZE_TRAIN"))


def _resize(cfg: CfgNode, size: Sequence[int], key: str) -> list[data.ImageTransform]:
    """Return the transforms to a size: two numbers, or one for the shorter side, or 0 for as it is."""
    with_crop = cfg.INPUT.CROP.ENABLED
    if len(size) == 2:
        return [data.Resize(size) if with_crop else data.ResizeToTensor(size)]
    if len(size) != 1 or not with_crop:
        raise ValueError(
            f"INPUT.{key} is (height, width), or with INPUT.CROP.ENABLED one number for the shorter side; got {size}: "
            "images of several sizes make no batch"
        )
    return [data.ResizeToFit([(math.inf, size[0])])] if size[0] else []


def build_train_transforms(
    cfg: CfgNode, num_images: int = 0, read: Callable[[int], torch.Tensor] | None = None
) -> data.Compose:
    """Return the random transforms of INPUT after the resizing, for tensors, or for PIL images with CROP.

    Args:
        cfg: the config.
        num_images: of the training set, for random patches.
        read: returns one of them, for random patches.

    Raises:
        ValueError: an option is out of range, or random patches have no images.
    """
    options = cfg.INPUT
    size = options.CROP.SIZE if options.CROP.ENABLED else options.SIZE_TRAIN
    transforms: list[data.ImageTransform] = []
    if options.CROP.ENABLED:
        transforms += [
            data.RandomResizedCrop(options.CROP.SIZE, options.CROP.SCALE, options.CROP.RATIO),
            data.ToTensor(),
        ]
    if options.FLIP.ENABLED:
        transforms.append(data.RandomFlip(options.FLIP.PROB))
    if options.PADDING.ENABLED:
        padding = options.PADDING
        is_constant = padding.MODE == "constant"
        pad = data.Pad(padding.SIZE) if is_constant else PadWithBorder(padding.SIZE, padding.MODE)
        transforms += [pad, data.RandomCrop(size)]
    if options.CJ.ENABLED:
        jitter = options.CJ
        colours = data.ColorJitter(jitter.BRIGHTNESS, jitter.CONTRAST, jitter.SATURATION, jitter.HUE)
        transforms.append(Sometimes(colours, jitter.PROB))
    if options.AFFINE.ENABLED:
        affine = options.AFFINE
        transforms.append(data.RandomAffine(affine.DEGREES, affine.TRANSLATE, affine.SCALE, affine.SHEAR))
    if options.AUGMIX.ENABLED:
        transforms.append(AugMix(options.AUGMIX.PROB))
    if options.REA.ENABLED:
        transforms.append(data.RandomErasing(options.REA.PROB, value=options.REA.VALUE or cfg.MODEL.PIXEL_MEAN))
    if options.RPT.ENABLED:
        if read is None:
            raise ValueError("INPUT.RPT.ENABLED takes patches from the training set: give its images")
        transforms.append(RandomPatch(num_images, read, options.RPT.PROB))
    return data.Compose(transforms)


def build_before_resize(cfg: CfgNode) -> data.Compose:
    """Return the random transforms of images in their own size: AutoAugment, or nothing."""
    options = cfg.INPUT.AUTOAUG
    return data.Compose([AutoAugment(options.PROB)] if options.ENABLED else [])
