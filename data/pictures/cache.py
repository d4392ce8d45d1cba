"""Images that are decoded once, for all the workers of a loader."""

from collections.abc import Callable, Hashable, Iterable

import torch

_WORD = 8  # bytes


class ImageCache:
    """Keeps images as they are before anything random happens to them: decoded, of one size, uint8 (C, H, W).

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
        shape: (C, H, W) of every image.
        mebibytes: the most memory that is taken, > 0; it is less where all images need less.

    Raises:
        ValueError: not one image fits.
        RuntimeError: the machine has too little shared memory.
    """

    def __init__(self, keys: Iterable[Hashable], shape: tuple[int, int, int], mebibytes: float) -> None:
        self.shape = torch.Size(shape)
        words = -(-self.shape.numel() // _WORD)
        unique = list(dict.fromkeys(keys))
        capacity = int(mebibytes * 2**20) // (_WORD * (1 + words))
        if capacity < 1:
            raise ValueError(
                f"a cache of {mebibytes} MiB does not hold one image of {tuple(shape)}, which takes "
                f"{_WORD * (1 + words) / 2**20:.3f} MiB: raise DATALOADER.CACHE, or set it to 0"
            )
        self._rows = {key: row for row, key in enumerate(unique[:capacity])}
        self._arena = _shared_zeros(len(self._rows), 1 + words)

    @property
    def capacity(self) -> int:
        """Number of images that are kept, once all of them have been asked for."""
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Memory that is taken, in bytes."""
        return self._arena.nbytes

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the image of `key`; `make` is called if it is not kept yet, or never is.

        The tensor is the kept memory itself: who changes it changes the image for everyone.

        Raises:
            ValueError: `make` returned something other than a uint8 tensor of the cache's shape.
        """
        row = self._rows.get(key)
        if row is None:
            return make()
        stamp, words = self._arena[row, 0], self._arena[row, 1:]
        image = words.view(torch.uint8)[: self.shape.numel()].view(self.shape)
        if stamp.item() != _stamp(words):
            made = make()
            if made.shape != self.shape or made.dtype != torch.uint8:
                raise ValueError(
                    f"expected an image of uint8 {tuple(self.shape)} to keep, got {made.dtype} {tuple(made.shape)}"
                )
            image.copy_(made)
            stamp.fill_(_stamp(words))
        return image


def _stamp(words: torch.Tensor) -> int:
    """Return the sum of an image's words, and one more: an empty place, which is all zeros, is no black image."""
    return int((words.sum() + 1).item())


def _shared_zeros(rows: int, columns: int) -> torch.Tensor:
    try:
        return torch.zeros(rows, columns, dtype=torch.int64).share_memory_()
    except RuntimeError as error:
        raise RuntimeError(
            f"the cache of decoded images needs {_WORD * rows * columns / 2**20:,.0f} MiB of shared memory (/dev/shm), "
            f"and there is less: lower DATALOADER.CACHE, or give the machine or container more ({error})"
        ) from error
