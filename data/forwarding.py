"""A loader around another one."""

from collections.abc import Callable, Iterator
from typing import Any

_NAMES = ("batch_size", "epoch_length", "seek", "close", "items_at")


class ForwardingLoader:
    """Passes on what a loader offers (`steploop.engine.simple_trainer.Loader`); a subclass says what its batches are.

    What the inner loader lacks, this one lacks too.

    Args:
        loader: the inner loader.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    @property
    def dataset(self) -> Any:
        """The data set of the loader."""
        return self.loader.dataset

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler of the loader."""
        return self.loader.batch_sampler

    @property
    def batch_size(self) -> int:
        """Samples of one optimizer step over all ranks and micro-batches."""
        return self.loader.batch_size

    @property
    def epoch_length(self) -> int:
        """Samples of one epoch over all ranks."""
        return self.loader.epoch_length

    @property
    def items_at(self) -> Callable[[int], list[Any]]:
        """Takes a step; returns the items of this rank's part of its batch, without reading them."""
        return self.loader.items_at

    def seek(self, step: int) -> None:
        """Let the next iterator start at `step` >= 0."""
        self.loader.seek(step)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def close(self) -> None:
        """End the loader's workers; it can be iterated over again. A foreign iterable is left alone."""
        if is_loader(self.loader):
            self.loader.close()


def is_loader(loader: Any) -> bool:
    """Return True if `loader` offers all that a loader may: a generator, for example, has another `close`."""
    return all(hasattr(loader, name) for name in _NAMES)
