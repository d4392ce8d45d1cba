"""Images that are decoded once, for all the workers of a loader."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat

import numpy as np
import torch

Shape = tuple[int, ...]

_WORD = 8  # bytes


class ImageCache:
    """Keeps images as they are before anything random happens to them: decoded, uint8, of known shapes.

    Whichever process needs an image first makes it; all others, forked or spawned, read the same memory. The first
    images of `keys` that fit are kept, the others are made anew each time: what is kept does not depend on the order of
    reading, and the pixels do not depend on what is kept.

    The memory has no name, so that nothing is left of it when its last process is gone, however that ended: it lives as
    long as the cache, in the process that made it, and as long as a loader's workers in those. With several ranks each
    has its own. All of it is taken from shared memory (/dev/shm) at once, so that too little is an error here, and not
    a crash an hour later.

    There is no lock. Before its words a kept image has their sum, which is compared at each reading (5 us for 256 x
    128): an image that another process has not written to its end, because it still does or was killed, is none.

    Args:
        keys: one for each image, hashable; equal keys stand for equal pixels.
        shape: of every image, such as (C, H, W); or a list with a shape for each of the keys, where images differ.
        mebibytes: the most memory that is taken, > 0; it is less where all images need less.

    Raises:
        ValueError: not one image fits.
        RuntimeError: the machine has too little shared memory.
    """

    def __init__(self, keys: Iterable[Hashable], shape: Shape | Sequence[Shape], mebibytes: float) -> None:
        shapes = _shapes_by_key(keys, shape)
        words = np.array([1 + _words(one) for one in shapes.values()], dtype=np.int64)
        ends = np.cumsum(words)
        capacity = int(np.searchsorted(ends, int(mebibytes * 2**20) // _WORD, side="right"))
        if capacity < 1:
            first = next(iter(shapes.values()), ())
            raise ValueError(
                f"a cache of {mebibytes} MiB does not hold one image of {first}, which takes "
                f"{_WORD * (1 + _words(first)) / 2**20:.3f} MiB: raise DATALOADER.CACHE, or set it to 0"
            )
        kept = list(shapes.items())[:capacity]
        starts = (ends - words)[:capacity].tolist()
        self._places = {key: (start, one) for (key, one), start in zip(kept, starts)}
        self._arena = _shared_zeros(int(ends[capacity - 1]))

    @property
    def capacity(self) -> int:
        """Number of images that are kept, once all of them have been asked for."""
        return len(self._places)

    @property
    def nbytes(self) -> int:
        """Memory that is taken, in bytes."""
        return self._arena.nbytes

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the image of `key`; `make` is called if it is not kept yet, or never is.

        The tensor is the kept memory itself: who changes it changes the image for everyone.

        Raises:
            ValueError: `make` returned something other than a uint8 tensor of the image's shape.
        """
        place = self._places.get(key)
        if place is None:
            return make()
        start, shape = place
        stamp, words = self._arena[start], self._arena[start + 1 : start + 1 + _words(shape)]
        image = words.view(torch.uint8)[: math.prod(shape)].view(shape)
        if stamp.item() != _stamp(words):
            made = make()
            if made.shape != shape or made.dtype != torch.uint8:
                raise ValueError(f"expected an image of uint8 {shape} to keep, got {made.dtype} {tuple(made.shape)}")
            image.copy_(made)
            stamp.fill_(_stamp(words))
        return image


def _stamp(words: torch.Tensor) -> int:
    """Return the sum of an image's words, and one more: an empty place, which is all zeros, is no black image."""
    return int((words.sum() + 1).item())


def _words(shape: Shape) -> int:
    return -(-math.prod(shape) // _WORD)


def _shapes_by_key(keys: Iterable[Hashable], shape: Shape | Sequence[Shape]) -> dict[Hashable, Shape]:
    """Return the shape of each key, in their order; keys that come again are left out."""
    if all(isinstance(side, int) for side in shape):
        return dict(zip(keys, repeat(tuple(shape))))  # type: ignore[arg-type]
    keys = list(keys)
    if len(keys) != len(shape):
        raise ValueError(f"expected one shape, or one for each of the {len(keys)} images; got {len(shape)}")
    return {key: tuple(one) for key, one in zip(keys, shape)}  # type: ignore[arg-type]


def _shared_zeros(words: int) -> torch.Tensor:
    try:
        return torch.zeros(words, dtype=torch.int64).share_memory_()
    except RuntimeError as error:
        raise RuntimeError(
            f"the cache of decoded images needs {_WORD * words / 2**20:,.0f} MiB of shared memory (/dev/shm), "
            f"and there is less: lower DATALOADER.CACHE, or give the machine or container more ({error})"
        ) from error
