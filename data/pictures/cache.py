"""A cache of decoded images in shared memory, for all workers of a loader."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat

import numpy as np
import torch

Shape = tuple[int, ...]

_WORD = 8  # bytes


class ImageCache:
    """Stores images as they are before random augmentation: decoded, uint8, of known shapes.

    The first process that needs an image decodes it; all others, forked or spawned, read the same memory. The first
    images of `keys` that fit are stored; the others are decoded again each time. So which images are stored does not
    depend on the order of reading, and the pixels do not depend on what is stored.

    The shared memory has no name, so the kernel frees it when the last process that uses it ends, also by a signal. It
    lives as long as the cache in its process, and as long as the workers of a loader. Each rank has its own cache. All
    memory is allocated (in /dev/shm) at once, so that a lack of memory is an error here, not a crash an hour later.

    There is no lock. A checksum, the sum of its 64-bit words, is stored before each image and compared at each reading
    (5 us for 256 x 128): an image that another process is still writing, or did not finish, is not used.

    Args:
        keys: one hashable key per image; images with equal keys have equal pixels.
        shape: the shape of every image, such as (C, H, W); or a list with the shape of each image.
        mebibytes: the largest amount of memory, > 0; less is allocated if all images need less.

    Raises:
        ValueError: not even one image fits.
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
        """Number of images that the cache can store."""
        return len(self._places)

    @property
    def nbytes(self) -> int:
        """Size of the allocated memory, in bytes."""
        return self._arena.nbytes

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the image of `key`; `make` is called if the image is not stored yet, or does not fit into the cache.

        The tensor is the stored memory itself: do not change it in place, or the image changes in all processes.

        Raises:
            ValueError: `make` did not return a uint8 tensor of the image's shape.
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
    """Return the sum of an image's words plus 1, so that empty memory (all zeros) is not taken for a black image."""
    return int((words.sum() + 1).item())


def _words(shape: Shape) -> int:
    return -(-math.prod(shape) // _WORD)


def _shapes_by_key(keys: Iterable[Hashable], shape: Shape | Sequence[Shape]) -> dict[Hashable, Shape]:
    """Return the shape of each key, in their order; repeated keys are skipped."""
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
