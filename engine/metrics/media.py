"""The pictures and histograms of a run, until writers have written them."""

import logging
from collections import deque
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# Without a writer that clears them, pictures and histograms would stay until the end of the run.
MOST = 256


class Media:
    """Holds pictures and histograms as they were when they were put: copies, without a graph.

    What cannot be shown is left out, with one warning for each name: a picture never ends a run.
    """

    def __init__(self) -> None:
        self._images: deque[tuple[str, Tensor, int]] = deque(maxlen=MOST)
        self._histograms: deque[dict[str, Any]] = deque(maxlen=MOST)
        self._warned: set[str] = set()

    def put_image(self, name: str, image: Any, iteration: int) -> None:
        """Record a picture.

        Args:
            name: its tag.
            image: (3, H, W) RGB, or (1, H, W) or (H, W) gray; uint8, bool, other integers in 0..255, or float in 0..1.
                Values outside the range are clipped, NaN is black.
            iteration: the current step.
        """
        picture = torch.as_tensor(image).detach()
        if picture.ndim == 2:
            picture = picture[None]
        if picture.ndim != 3 or picture.shape[0] not in (1, 3) or not picture.numel() or picture.is_complex():
            self._warn(name, f"a picture is (3, H, W), (1, H, W) or (H, W), not {_describe(picture)}")
            return
        self._images.append((name, _showable(picture).expand(3, -1, -1).clone(), iteration))

    def put_histogram(self, name: str, values: Any, bins: int, iteration: int) -> None:
        """Record the distribution of the finite values of a tensor of any shape and real type, in `bins` equal bins."""
        tensor = torch.as_tensor(values).detach()
        if tensor.is_complex():
            self._warn(name, "a histogram is of real values, not of complex ones")
            return
        flat = tensor.to(device="cpu", dtype=torch.float64).flatten()
        finite = flat[flat.isfinite()]
        if len(finite) < len(flat):
            self._warn(name, f"{len(flat) - len(finite)} of {len(flat)} values are not finite", "counted")
        if not len(finite):
            self._warn(name, "there are no finite values")
            return
        low, high = finite.min().item(), finite.max().item()
        if low == high:  # the bins of one value need a width
            low, high = low - 0.5 * max(1.0, abs(low)), high + 0.5 * max(1.0, abs(high))
        self._histograms.append(
            {
                "tag": name,
                "min": finite.min().item(),
                "max": finite.max().item(),
                "num": len(finite),
                "sum": finite.sum().item(),
                "sum_squares": finite.square().sum().item(),
                "bucket_limits": torch.linspace(low, high, bins + 1, dtype=torch.float64)[1:].tolist(),
                "bucket_counts": torch.histc(finite, bins=bins, min=low, max=high).tolist(),
                "global_step": iteration,
            }
        )

    def images(self) -> list[tuple[str, Tensor, int]]:
        """Return the pictures put since `clear_images`, as (name, picture (3, H, W), iteration)."""
        return list(self._images)

    def histograms(self) -> list[dict[str, Any]]:
        """Return the histograms put since `clear_histograms`, as TensorBoard's `histogram_raw` takes them."""
        return list(self._histograms)

    def clear_images(self) -> None:
        """Forget the pictures."""
        self._images.clear()

    def clear_histograms(self) -> None:
        """Forget the histograms."""
        self._histograms.clear()

    def _warn(self, name: str, why: str, what_is_left_out: str = "shown") -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("%s: %s; these are not %s. Said once for each name", name, why, what_is_left_out)


def _showable(picture: Tensor) -> Tensor:
    """Return uint8 in 0..255 or float in 0..1; nothing here waits for a GPU."""
    if picture.dtype == torch.uint8:
        return picture
    if picture.dtype == torch.bool:
        return picture.to(torch.uint8) * 255
    if picture.is_floating_point():
        return picture.float().nan_to_num(0.0).clamp(0.0, 1.0)
    return picture.clamp(0, 255).to(torch.uint8)


def _describe(picture: Tensor) -> str:
    return f"{tuple(picture.shape)} of {picture.dtype}"
