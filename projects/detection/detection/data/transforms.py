"""The steps between an image file and a sample, by MMDetection's names.

A step is ``step(sample, rng)``: it changes a dict with "image", a uint8 tensor (3, H, W) in RGB, and the boxes that
belong to it. What is random comes from `rng` alone.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ..modeling.structures import mirrored

Sample = dict[str, Any]
_BOXES = ("boxes", "ignored")


class Resize:
    """Resizes the image to fit into a size, bilinear, and its boxes with it.

    Args:
        img_scale: (long side, short side) in pixels, or a list of them.
        multiscale_mode: with several, "value" picks one of them, "range" draws each side between the two given.
        ratio_range: (smallest, largest) factor of a single `img_scale`.
        keep_ratio: fit into the size; False makes the image exactly (width, height).
    """

    def __init__(
        self,
        img_scale: Any = None,
        *,
        multiscale_mode: str = "range",
        ratio_range: Sequence[float] | None = None,
        keep_ratio: bool = True,
    ) -> None:
        given = img_scale if isinstance(img_scale, list | tuple) else [] if img_scale is None else [img_scale]
        scales = [given] if _is_pair(given) else list(given)
        if not all(_is_pair(scale) and min(scale) > 0 for scale in scales):
            raise ValueError(f"Resize: img_scale is (width, height) in pixels, or a list of them; came {img_scale!r}")
        if multiscale_mode not in ("value", "range"):
            raise ValueError(f'Resize: multiscale_mode is "value" or "range"; came {multiscale_mode!r}')
        if len(scales) > 2 and multiscale_mode == "range":
            raise ValueError(f'Resize: multiscale_mode "range" takes two sizes; came {len(scales)}')
        if ratio_range is not None and (len(scales) != 1 or not 0 < ratio_range[0] <= ratio_range[1]):
            raise ValueError(f"Resize: ratio_range is (smallest, largest) > 0 of one img_scale; came {ratio_range!r}")
        self.scales = [(int(first), int(second)) for first, second in scales]
        self._mode, self._ratios, self._keep_ratio = multiscale_mode, ratio_range, keep_ratio

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """Draw a size and resize."""
        resize(sample, self._drawn(rng), keep_ratio=self._keep_ratio)

    def _drawn(self, rng: np.random.Generator) -> tuple[int, int]:
        if not self.scales:
            raise ValueError("Resize has no img_scale; outside of MultiScaleFlipAug it needs one")
        if self._ratios is not None:
            ratio = rng.uniform(self._ratios[0], self._ratios[1])
            return int(self.scales[0][0] * ratio), int(self.scales[0][1] * ratio)
        if len(self.scales) == 1:
            return self.scales[0]
        if self._mode == "value":
            return self.scales[int(rng.integers(len(self.scales)))]
        longest, shortest = [max(scale) for scale in self.scales], [min(scale) for scale in self.scales]
        return (
            int(rng.integers(min(longest), max(longest) + 1)),
            int(rng.integers(min(shortest), max(shortest) + 1)),
        )


def resize(sample: Sample, scale: tuple[int, int], *, keep_ratio: bool = True) -> None:
    """Resize a sample's image and boxes to fit into (long side, short side), or to exactly (width, height)."""
    height, width = sample["image"].shape[1:]
    if keep_ratio:
        factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
        new_width, new_height = max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5))
    else:
        new_width, new_height = scale
    if (new_height, new_width) != (height, width):
        # As cv2's: the pixels' centres are mapped, and nothing is averaged where the image shrinks.
        image = sample["image"][None].float()
        shrunk = F.interpolate(image, size=(new_height, new_width), mode="bilinear", align_corners=False)
        sample["image"] = shrunk[0].round().to(torch.uint8)
    ratios = (np.float32(new_width / width), np.float32(new_height / height))
    sample["scale"] = (float(sample["scale"][0] * ratios[0]), float(sample["scale"][1] * ratios[1]))
    for key in _BOXES:
        sample[key] = sample[key] * torch.tensor(ratios * 2)
    _clip(sample)


class RandomFlip:
    """Mirrors the image left to right with a probability.

    Args:
        flip_ratio: the probability; None mirrors only what a test at several views asks for.
        direction: "horizontal", or "vertical" for top to bottom (in training only).
    """

    def __init__(self, flip_ratio: float | None = None, *, direction: str = "horizontal") -> None:
        if direction not in ("horizontal", "vertical") or (flip_ratio is not None and not 0 <= flip_ratio <= 1):
            raise ValueError(
                'RandomFlip: direction is "horizontal" or "vertical" and flip_ratio in 0..1; came '
                f"{direction!r} and {flip_ratio!r}"
            )
        self._probability, self._direction = flip_ratio, direction

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """Mirror, or not."""
        if self._probability is not None and rng.random() < self._probability:
            flip(sample) if self._direction == "horizontal" else _turn_over(sample)


def flip(sample: Sample) -> None:
    """Mirror a sample's image and boxes left to right."""
    width = sample["image"].shape[2]
    sample["image"] = sample["image"].flip(2)
    sample["flip"] = not sample["flip"]
    for key in _BOXES:
        sample[key] = mirrored(sample[key], width)


def _turn_over(sample: Sample) -> None:
    height = sample["image"].shape[1]
    sample["image"] = sample["image"].flip(1)
    for key in _BOXES:
        x1, y1, x2, y2 = sample[key].unbind(dim=1)
        sample[key] = torch.stack((x1, height - y2, x2, height - y1), dim=1)


class RandomCrop:
    """Cuts a window out of the image and keeps the boxes that reach into it, cut to it.

    A window without any box is drawn again, up to 50 times; then the image stays whole.

    Args:
        crop_size: (height, width) in pixels, or shares of the sides with `crop_type` "relative".
        crop_type: "absolute", "absolute_range" (each side drawn between the smaller and the larger number), "relative"
            or "relative_range".
        allow_negative_crop: take a window without a box too.
    """

    _TRIES = 50

    def __init__(
        self, crop_size: Sequence[float], *, crop_type: str = "absolute", allow_negative_crop: bool = False
    ) -> None:
        if crop_type not in ("absolute", "absolute_range", "relative", "relative_range") or min(crop_size) <= 0:
            raise ValueError(f"RandomCrop: crop_size {crop_size!r} or crop_type {crop_type!r} is not possible")
        self._size, self._type, self._take_any = tuple(crop_size), crop_type, allow_negative_crop

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """Draw a window and cut."""
        height, width = sample["image"].shape[1:]
        for _ in range(self._TRIES):
            rows, columns = self._window(height, width, rng)
            top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            kept = _reaching_into(sample["boxes"], left, top, columns, rows)
            if kept.any() or self._take_any or not len(kept):
                break
        else:
            return
        offset = torch.tensor([left, top, left, top], dtype=torch.float32)
        inside = _reaching_into(sample["ignored"], left, top, columns, rows)
        sample["boxes"], sample["labels"] = sample["boxes"][kept] - offset, sample["labels"][kept]
        sample["ignored"] = sample["ignored"][inside] - offset
        sample["image"] = sample["image"][:, top : top + rows, left : left + columns]
        _clip(sample)

    def _window(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        first, second = self._size
        if self._type == "relative":
            rows, columns = height * first, width * second
        elif self._type == "relative_range":
            rows, columns = height * rng.uniform(first, 1), width * rng.uniform(second, 1)
        elif self._type == "absolute":
            rows, columns = first, second
        else:
            low, high = int(min(first, second)), int(max(first, second))
            rows = int(rng.integers(min(low, height), min(high, height) + 1))
            columns = int(rng.integers(min(low, width), min(high, width) + 1))
        return max(1, min(int(rows), height)), max(1, min(int(columns), width))


class Pad:
    """Notes the size that the image is padded to; the batch is padded at once, at the right and the bottom.

    Args:
        size_divisor: both sides become multiples of it.
    """

    def __init__(self, size_divisor: int = 32, **others: Any) -> None:
        if size_divisor < 1 or others.pop("pad_val", 0) not in (0, None) or others:
            raise ValueError(f"Pad takes size_divisor >= 1 (and pad_val=0); came {size_divisor!r} and {others!r}")
        self.size_divisor = size_divisor

    def __call__(self, sample: Sample, rng: np.random.Generator) -> None:
        """Note the size."""
        sides = sample["image"].shape[1:]
        height, width = (math.ceil(side / self.size_divisor) * self.size_divisor for side in sides)
        sample["padded_size"] = (height, width)


def _clip(sample: Sample) -> None:
    height, width = sample["image"].shape[1:]
    limits = torch.tensor([width, height, width, height], dtype=torch.float32)
    for key in _BOXES:
        sample[key] = torch.minimum(sample[key].clamp(min=0), limits)


def _reaching_into(boxes: torch.Tensor, left: int, top: int, columns: int, rows: int) -> torch.Tensor:
    right, bottom = left + columns, top + rows
    across = boxes[:, 2].clamp(max=right) > boxes[:, 0].clamp(min=left)
    return across & (boxes[:, 3].clamp(max=bottom) > boxes[:, 1].clamp(min=top))


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
