"""Geometries, the results of a transform's draw: each moves an image, all frames of a clip, boxes and points alike.

Sizes are (height, width) in pixels. Coordinates are (x, y) in pixels, continuous: the image's upper left corner is at
(0, 0) and the centre of its first pixel at (0.5, 0.5). For coordinates that count pixels, where (0, 0) is the centre of
the first one, add 0.5 before and subtract 0.5 after.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from .images import Size, size_of

Coords = TypeVar("Coords", torch.Tensor, np.ndarray)


class Geometry(ABC):
    """Moves everything that belongs to one image as the image itself is moved.

    An image is a uint8 tensor (3, H, W) or a PIL image in RGB: the pixels are the same. What is given is not changed; a
    result may share its memory.

    Args:
        size: of the image that it was drawn for.
        new_size: of the image that comes out; None keeps the size.

    Attributes:
        size: the (height, width) that goes in.
        new_size: the (height, width) that comes out.
    """

    def __init__(self, size: Size, new_size: Size | None = None) -> None:
        self.size = (size[0], size[1])
        self.new_size = self.size if new_size is None else (new_size[0], new_size[1])

    @property
    def matrix(self) -> np.ndarray:
        """The affine map of points, float64 (2, 3): ``(x', y') = matrix @ (x, y, 1)``."""
        return np.eye(2, 3)

    @abstractmethod
    def _move(self, image: Any) -> Any:
        """Return the moved image; its size has been checked."""

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the moved frames, a tensor (T, C, H, W)."""
        return torch.stack([self._move(frame) for frame in frames])

    @property
    def is_mirrored(self) -> bool:
        """True if left and right are exchanged; labels such as "turns left" must then be changed too."""
        return bool(np.linalg.det(self.matrix[:, :2]) < 0)

    def apply_image(self, image: Any) -> Any:
        """Return the image, moved.

        Raises:
            ValueError: the image has another size than the one that this was drawn for.
        """
        self._check_size(image)
        return self._move(image)

    def apply_clip(self, frames: Any) -> Any:
        """Return all frames of a clip, moved alike.

        Args:
            frames: a tensor (T, C, H, W), or a sequence of images.

        Returns:
            A tensor for a tensor, a list of images for a sequence.

        Raises:
            ValueError: a frame has another size than the one that this was drawn for.
        """
        if isinstance(frames, torch.Tensor):
            self._check_size(frames)
            return self._move_clip(frames)
        return [self.apply_image(frame) for frame in frames]

    def apply_coords(self, coords: Coords) -> Coords:
        """Return points, floating-point (..., 2) as (x, y), moved; they may lie outside of the image.

        Raises:
            TypeError: they are integers.
            ValueError: they have another shape.
        """
        return _map_points(coords, self.matrix)

    def apply_box(self, boxes: Coords) -> Coords:
        """Return boxes, floating-point (..., 4) as (x1, y1, x2, y2), moved.

        Of a box that is rotated or sheared, the upright box around it is returned. Nothing is cut at the border.

        Raises:
            TypeError: they are integers.
            ValueError: they have another shape.
        """
        return _map_boxes(boxes, self.matrix)

    def inverse_coords(self, coords: Coords) -> Coords:
        """Return points of the new image where they are in the given one; see `apply_coords`."""
        return _map_points(coords, inverse_matrix(self.matrix))

    def inverse_box(self, boxes: Coords) -> Coords:
        """Return boxes of the new image where they are in the given one; see `apply_box`."""
        return _map_boxes(boxes, inverse_matrix(self.matrix))

    def _check_size(self, image: Any) -> None:
        if size_of(image) != self.size:
            raise ValueError(
                f"this {type(self).__name__} was drawn for an image of {self.size} (height, width), and got one of "
                f"{size_of(image)}: draw one for each image size"
            )


class PixelGeometry(Geometry):
    """Changes pixels where they are, such as colours; boxes and points stay.

    Args:
        size: of the image.
        function: makes the new image of the given one, of the same size.
    """

    def __init__(self, size: Size, function: Callable[[Any], Any]) -> None:
        super().__init__(size)
        self._function = function

    def _move(self, image: Any) -> Any:
        return self._function(image)


class NoGeometry(Geometry):
    """Changes nothing; the image is returned unchanged."""

    def _move(self, image: Any) -> Any:
        return image

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        return frames


class GeometryList(Geometry):
    """Several geometries, one after another.

    Args:
        size: of the first image.
        parts: each drawn for the size that the one before it gives.
    """

    def __init__(self, size: Size, parts: Sequence[Geometry]) -> None:
        super().__init__(size, parts[-1].new_size if parts else size)
        self.parts = list(parts)

    @property
    def matrix(self) -> np.ndarray:
        """The product of the parts' matrices."""
        matrix = np.eye(3)
        for part in self.parts:
            matrix = np.vstack([part.matrix, [0, 0, 1]]) @ matrix
        return matrix[:2]

    def _move(self, image: Any) -> Any:
        for part in self.parts:
            image = part.apply_image(image)
        return image

    def _move_clip(self, frames: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            frames = part.apply_clip(frames)
        return frames


def _map_points(coords: Coords, matrix: np.ndarray) -> Coords:
    points = _as_float64(coords, 2, "points (..., 2) as (x, y)")
    return _like(points @ matrix[:, :2].T + matrix[:, 2], coords)


def _map_boxes(boxes: Coords, matrix: np.ndarray) -> Coords:
    sides = _as_float64(boxes, 4, "boxes (..., 4) as (x1, y1, x2, y2)")
    corners = sides[..., [0, 1, 2, 1, 0, 3, 2, 3]].reshape(*sides.shape[:-1], 4, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    return _like(np.concatenate([moved.min(axis=-2), moved.max(axis=-2)], axis=-1), boxes)


def _as_float64(values: torch.Tensor | np.ndarray, columns: int, what: str) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim == 0 or array.shape[-1] != columns:
        raise ValueError(f"expected {what}, got the shape {array.shape}")
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"expected floating-point {what}, got {array.dtype}: a moved coordinate is no whole number")
    return array.astype(np.float64)


def _like(array: np.ndarray, given: Coords) -> Coords:
    if isinstance(given, torch.Tensor):
        return torch.from_numpy(array).to(given)
    return array.astype(given.dtype)


def inverse_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse (2, 3) of an affine map (2, 3)."""
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
