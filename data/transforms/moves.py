"""The geometries that move pixels: mirrored, padded, cut, scaled, warped."""

import math

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn.functional import pad

from .geometry import Geometry, inverse_matrix
from .images import AnyImage, Size, through_pil


class FlipGeometry(Geometry):
    """Mirrors left to right, or, if `vertical`, top to bottom."""

    def __init__(self, size: Size, *, vertical: bool = False) -> None:
        super().__init__(size)
        self.vertical = vertical

    @property
    def matrix(self) -> np.ndarray:
        """x' = width - x, or y' = height - y."""
        height, width = self.size
        return np.array([[1.0, 0, 0], [0, -1, height]]) if self.vertical else np.array([[-1.0, 0, width], [0, 1, 0]])

    def _move(self, image: AnyImage) -> AnyImage:
        if isinstance(image, torch.Tensor):
            return image.flip(-2 if self.vertical else -1)
        return ImageOps.flip(image) if self.vertical else ImageOps.mirror(image)

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.flip(-2 if self.vertical else -1)


class PadGeometry(Geometry):
    """Adds a border of one value, 0..255, on each side of an image.

    Args:
        size: of the image.
        left, top, right, bottom: pixels to add, each >= 0.
        fill: value of the new pixels in each channel.
    """

    def __init__(self, size: Size, left: int, top: int, right: int, bottom: int, *, fill: int = 0) -> None:
        super().__init__(size, (size[0] + top + bottom, size[1] + left + right))
        self.border = (left, top, right, bottom)
        self.fill = fill

    @property
    def matrix(self) -> np.ndarray:
        """A shift by the left and the upper border."""
        return np.array([[1.0, 0, self.border[0]], [0, 1, self.border[1]]])

    def _move(self, image: AnyImage) -> AnyImage:
        left, top, right, bottom = self.border
        if isinstance(image, torch.Tensor):
            return pad(image, (left, right, top, bottom), value=self.fill)
        return ImageOps.expand(image, self.border, fill=(self.fill,) * len(image.getbands()))

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        left, top, right, bottom = self.border
        return pad(frames, (left, right, top, bottom), value=self.fill)


class CropGeometry(Geometry):
    """Cuts a window out of an image; of a tensor it is a view.

    Args:
        size: of the image.
        top, left: the window's upper left pixel.
        new_size: of the window, which lies inside of the image.

    Raises:
        ValueError: the window reaches beyond the image.
    """

    def __init__(self, size: Size, top: int, left: int, new_size: Size) -> None:
        super().__init__(size, new_size)
        self.top, self.left = top, left
        if min(top, left) < 0 or top + new_size[0] > size[0] or left + new_size[1] > size[1]:
            raise ValueError(
                f"cannot cut {new_size[0]} x {new_size[1]} (height x width) out of {size[0]} x {size[1]} at "
                f"({top}, {left}): resize or pad the image first"
            )

    @property
    def matrix(self) -> np.ndarray:
        """A shift by the window's corner."""
        return np.array([[1.0, 0, -self.left], [0, 1, -self.top]])

    def _move(self, image: AnyImage) -> AnyImage:
        bottom, right = self.top + self.new_size[0], self.left + self.new_size[1]
        if isinstance(image, torch.Tensor):
            return image[..., self.top : bottom, self.left : right]
        return image.crop((self.left, self.top, right, bottom))

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[..., self.top : self.top + self.new_size[0], self.left : self.left + self.new_size[1]]


class ResizeGeometry(Geometry):
    """Scales an image to another size; an image that already has it is returned unchanged.

    Args:
        size: of the image.
        new_size: to scale to.
        resample: Pillow's filter.
    """

    def __init__(self, size: Size, new_size: Size, resample: Image.Resampling = Image.Resampling.BILINEAR) -> None:
        super().__init__(size, new_size)
        self.resample = resample

    @property
    def matrix(self) -> np.ndarray:
        """The true ratios of the sides, which rounding to pixels makes unequal."""
        return np.array([[self.new_size[1] / self.size[1], 0, 0], [0, self.new_size[0] / self.size[0], 0]])

    def _move(self, image: AnyImage) -> AnyImage:
        if self.size == self.new_size:
            return image
        return through_pil(image, lambda picture: picture.resize(self.new_size[::-1], self.resample))


class WarpGeometry(Geometry):
    """Any affine map: rotation, scale, shear, shift.

    Args:
        size: of the image.
        source: float (2, 3): where each point of the new image comes from, ``(x, y) = source @ (x', y', 1)``; the
            inverse of `matrix`.
        new_size: of the new image; None keeps the size.
        fill: value, 0..255, of what comes into view from outside; None repeats the image's border.
    """

    def __init__(
        self, size: Size, source: np.ndarray, new_size: Size | None = None, *, fill: int | None = None
    ) -> None:
        super().__init__(size, new_size)
        self.source = np.asarray(source, dtype=np.float64)
        self.fill = fill

    @property
    def matrix(self) -> np.ndarray:
        """The inverse of `source`."""
        return inverse_matrix(self.source)

    def _move(self, image: AnyImage) -> AnyImage:
        return through_pil(image, self._warp)

    def _warp(self, image: Image.Image) -> Image.Image:
        linear, shift = self.source[:, :2], self.source[:, 2]
        (a, b), (d, e) = linear
        size, method, smooth = self.new_size[::-1], Image.Transform.AFFINE, Image.Resampling.BILINEAR
        if self.fill is not None:
            colour = (self.fill,) * len(image.getbands())
            return image.transform(size, method, (a, b, shift[0], d, e, shift[1]), smooth, fillcolor=colour)
        # Pillow cannot repeat the border: pad by as much of it as becomes visible.
        corners = np.array([[0, 0], [size[0], 0], [0, size[1]], [size[0], size[1]]])
        sources = corners @ linear.T + shift
        overshoot = max(np.max(-sources), np.max(sources - image.size), 0.0)
        margin = math.ceil(overshoot) + 1
        padded = Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
        c, f = shift + margin
        return padded.transform(size, method, (a, b, c, d, e, f), smooth)
