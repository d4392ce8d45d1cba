"""What is done to the frames of a sample, all of its clips together: one draw for all frames.

A transform is called with frames, uint8 (F, H, W, 3), the sample's facts and its random numbers, and returns frames. A
crop for testing gives several cut-outs of each frame: (crops * F, h, w, 3), crops outermost.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from steploop.config import Registry

CLIP_TRANSFORMS = Registry("CLIP_TRANSFORM")
"""Transforms of clips by MMAction2's names."""

Box = tuple[int, int, int, int]


class ClipTransform(Protocol):
    """The contract of a transform."""

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the frames; `facts` has "label", which a transform may change."""


def resize(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return frames scaled bilinearly, without smoothing, as OpenCV does (half-pixel centres, rounded)."""
    if frames.shape[1:3] == (height, width):
        return frames
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    scaled = F.interpolate(pixels.float(), size=(height, width), mode="bilinear", align_corners=False)
    return scaled.round_().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def new_size(width: int, height: int, scale: Sequence[int]) -> tuple[int, int]:
    """Return (width, height) that fits into `scale` with the proportions kept.

    Args:
        width: of the frames.
        height: of the frames.
        scale: (longer side, shorter side) in any order; -1 leaves one side free.
    """
    longer, shorter = max(scale), min(scale)
    factor = longer / min(width, height) if shorter == -1 else 0.0
    if not factor:
        factor = min(longer / max(width, height), shorter / min(width, height))
    return int(width * factor + 0.5), int(height * factor + 0.5)


@CLIP_TRANSFORMS.register()
class Resize:
    """Scales frames.

    Args:
        scale: (width, height); with `keep_ratio` a frame into which the scaled one fits, where -1 leaves a side free:
            (-1, 256) makes the shorter side 256. A number does the same.
        keep_ratio: whether the proportions are kept.
    """

    def __init__(self, scale: int | Sequence[int], keep_ratio: bool = True, interpolation: str = "bilinear") -> None:
        self.scale = (-1, scale) if isinstance(scale, int) else tuple(scale)
        self.keep_ratio = keep_ratio
        if len(self.scale) != 2 or max(self.scale) < 1 or (not keep_ratio and min(self.scale) < 1):
            raise ValueError(f"scale of Resize is (width, height), positive, or -1 with keep_ratio; came {scale!r}")
        if interpolation != "bilinear":
            raise ValueError(f"interpolation of Resize is 'bilinear'; came {interpolation!r}")

    @property
    def short_side(self) -> int:
        """The shorter side that a decoder may scale to in place of this transform; 0 if that is not the same."""
        return max(self.scale) if self.keep_ratio and min(self.scale) == -1 else 0

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the scaled frames."""
        height, width = frames.shape[1:3]
        return resize(frames, *(new_size(width, height, self.scale) if self.keep_ratio else self.scale))


@CLIP_TRANSFORMS.register()
class RandomResizedCrop:
    """Cuts a box of random area and proportions; it is not scaled.

    Args:
        area_range: share of the frame's area.
        aspect_ratio_range: width / height, drawn evenly on a logarithmic scale.
    """

    def __init__(
        self, area_range: Sequence[float] = (0.08, 1.0), aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3)
    ) -> None:
        if not 0 < area_range[0] <= area_range[1] <= 1 or not 0 < aspect_ratio_range[0] <= aspect_ratio_range[1]:
            raise ValueError(f"area_range lies in (0, 1] and grows; came {area_range} and {aspect_ratio_range}")
        self.area_range, self.aspect_ratio_range = area_range, aspect_ratio_range

    def draw(self, width: int, height: int, rng: np.random.Generator) -> Box:
        """Return (left, top, right, bottom): the first of 10 draws that fits, else the centred square."""
        low, high = (math.log(ratio) for ratio in self.aspect_ratio_range)
        ratios = np.exp(rng.uniform(low, high, 10))
        areas = rng.uniform(self.area_range[0], self.area_range[1], 10) * width * height
        for area, ratio in zip(areas, ratios):
            crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < crop_width <= width and 0 < crop_height <= height:
                left, top = int(rng.integers(width - crop_width + 1)), int(rng.integers(height - crop_height + 1))
                return left, top, left + crop_width, top + crop_height
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the box of every frame."""
        return cut(frames, self.draw(frames.shape[2], frames.shape[1], rng))


@CLIP_TRANSFORMS.register()
class RandomCrop:
    """Cuts a square of `size` at a random place."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the box of every frame."""
        height, width = frames.shape[1:3]
        check_crop(width, height, self.size, self.size)
        left, top = int(rng.integers(width - self.size + 1)), int(rng.integers(height - self.size + 1))
        return cut(frames, (left, top, left + self.size, top + self.size))


@CLIP_TRANSFORMS.register()
class Flip:
    """Mirrors all frames of a sample, or none.

    Args:
        flip_ratio: the probability.
        direction: "horizontal" or "vertical".
        flip_label_map: {label: label of the mirrored clip}, for classes such as "left to right"; the others stay.
    """

    def __init__(
        self,
        flip_ratio: float = 0.5,
        direction: str = "horizontal",
        flip_label_map: Mapping[Any, int] | None = None,
    ) -> None:
        if not 0 <= flip_ratio <= 1 or direction not in ("horizontal", "vertical"):
            raise ValueError(
                f"flip_ratio is in 0..1 and direction horizontal or vertical; came {flip_ratio} and {direction!r}"
            )
        self.flip_ratio, self.direction = flip_ratio, direction
        self.label_map = {int(key): int(value) for key, value in (flip_label_map or {}).items()}

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the frames, mirrored or not, and change the label with them."""
        if rng.random() >= self.flip_ratio:
            return frames
        if self.label_map:
            label = facts["label"]
            if not isinstance(label, int):
                raise ValueError("flip_label_map needs one label for each video")
            facts["label"] = self.label_map.get(label, label)
        return frames[:, :, ::-1] if self.direction == "horizontal" else frames[:, ::-1]


@CLIP_TRANSFORMS.register()
class CenterCrop:
    """Cuts the middle; `crop_size` is a number or (width, height)."""

    def __init__(self, crop_size: int | Sequence[int]) -> None:
        self.width, self.height = crop_pair(crop_size)

    def boxes(self, width: int, height: int) -> list[Box]:
        """Return the box."""
        check_crop(width, height, self.width, self.height)
        left, top = (width - self.width) // 2, (height - self.height) // 2
        return [(left, top, left + self.width, top + self.height)]

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the cut-outs of every frame."""
        return np.concatenate([cut(frames, box) for box in self.boxes(frames.shape[2], frames.shape[1])])


@CLIP_TRANSFORMS.register()
class ThreeCrop(CenterCrop):
    """Cuts the first, the last and the middle part along the longer side, in that order."""

    def boxes(self, width: int, height: int) -> list[Box]:
        """Return the boxes."""
        check_crop(width, height, self.width, self.height)
        if self.height == height:
            step = (width - self.width) // 2
            corners = [(0, 0), (2 * step, 0), (step, 0)]
        elif self.width == width:
            step = (height - self.height) // 2
            corners = [(0, 0), (0, 2 * step), (0, step)]
        else:
            raise ValueError(
                f"ThreeCrop cuts along one side: its crop of {self.width} x {self.height} has no side of the frames' "
                f"{width} x {height}; scale them so that the shorter side is that of the crop"
            )
        return [(left, top, left + self.width, top + self.height) for left, top in corners]


@CLIP_TRANSFORMS.register()
class TenCrop(CenterCrop):
    """Cuts the four corners and the middle, each followed by its mirror image."""

    def boxes(self, width: int, height: int) -> list[Box]:
        """Return the boxes, each twice; every second cut-out is mirrored."""
        check_crop(width, height, self.width, self.height)
        across, down = (width - self.width) // 4, (height - self.height) // 4
        corners = [(0, 0), (4 * across, 0), (0, 4 * down), (4 * across, 4 * down), (2 * across, 2 * down)]
        return [(left, top, left + self.width, top + self.height) for left, top in corners for _ in range(2)]

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the cut-outs of every frame."""
        parts = [cut(frames, box) for box in self.boxes(frames.shape[2], frames.shape[1])]
        return np.concatenate([part[:, :, ::-1] if place % 2 else part for place, part in enumerate(parts)])


@CLIP_TRANSFORMS.register()
class ColorJitter:
    """Changes brightness, contrast and saturation, in this order, by factors in 1 - x .. 1 + x.

    Args:
        brightness: x of the brightness, in 0..1.
        contrast: x of the contrast, around the mean grey of all frames.
        saturation: x of the saturation.
        hue: not supported, 0.
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
    ) -> None:
        if not all(0 <= value <= 1 for value in (brightness, contrast, saturation)) or hue:
            raise ValueError("brightness, contrast and saturation of ColorJitter are in 0..1, and hue is 0")
        self.ranges = (brightness, contrast, saturation)

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Return the changed frames."""
        brightness, contrast, saturation = (rng.uniform(1 - x, 1 + x) for x in self.ranges)
        if not any(self.ranges):
            return frames
        pixels = frames.astype(np.float32) * np.float32(brightness)
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        if self.ranges[1]:
            pixels = (pixels - (pixels @ weights).mean()) * np.float32(contrast) + (pixels @ weights).mean()
        if self.ranges[2]:
            grey = (pixels @ weights)[..., None]
            pixels = grey + (pixels - grey) * np.float32(saturation)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def cut(frames: np.ndarray, box: Box) -> np.ndarray:
    """Return the part of every frame in (left, top, right, bottom)."""
    left, top, right, bottom = box
    return frames[:, top:bottom, left:right]


def crop_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return (width, height) of a crop.

    Raises:
        ValueError: it is no positive size.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"crop_size is a number or (width, height), positive; came {size!r}")
    return pair[0], pair[1]


def check_crop(width: int, height: int, crop_width: int, crop_height: int) -> None:
    """Refuse a crop that is larger than the frames.

    Raises:
        ValueError: with both sizes.
    """
    if crop_width > width or crop_height > height:
        raise ValueError(
            f"a crop of {crop_width} x {crop_height} does not fit into frames of {width} x {height}: scale "
            "them first (Resize)"
        )
