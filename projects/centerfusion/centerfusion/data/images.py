"""From an image file to the network's input: cut, scaled, coloured and normalised."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .view import View

# Principal directions of colour in ImageNet, BGR, and their strengths (AlexNet's lighting noise).
_EIGENVALUES = np.array([0.2141788, 0.01817699, 0.00341571], dtype=np.float32)
_EIGENVECTORS = np.array(
    [
        [-0.58752847, -0.69563484, 0.41340352],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.56089297, 0.71832671, 0.41158938],
    ],
    dtype=np.float32,
)
_LIGHTING, _JITTER = 0.1, 0.4
_GREY = np.array([0.114, 0.587, 0.299], dtype=np.float32)  # of BGR


def cut(image: Image.Image, view: View, size: tuple[int, int]) -> np.ndarray:
    """Return what a view shows, (height, width, 3) float32 BGR in 0..1; black outside of the image.

    Args:
        image: RGB.
        view: of the sample.
        size: (width, height) of the result.
    """
    if view.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    matrix = view.matrix(size, inverse=True)
    # The matrix is for indices of pixels; PIL counts from the corners of pixels.
    shift = 0.5 - matrix[:, :2].sum(axis=1) / 2
    rows = np.column_stack((matrix[:, :2], matrix[:, 2] + shift))
    cut_out = image.transform(size, Image.Transform.AFFINE, tuple(rows.ravel()), Image.Resampling.BILINEAR)
    return np.asarray(cut_out, dtype=np.float32)[..., ::-1] / 255


def jitter_colours(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W, 3) BGR with random brightness, contrast and saturation, in random order, and lighting."""
    for kind in rng.permutation(3):
        factor = np.float32(1 + rng.uniform(-_JITTER, _JITTER))
        if kind == 0:
            pixels = pixels * factor
            continue
        grey = pixels @ _GREY
        other = grey.mean() if kind == 1 else grey[..., None]
        pixels = pixels * factor + other * (1 - factor)
    strength = rng.normal(0, _LIGHTING, 3).astype(np.float32)
    return pixels + _EIGENVECTORS @ (_EIGENVALUES * strength)


def normalise(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Return (3, H, W) float32 of (H, W, 3)."""
    scaled = (pixels - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)
