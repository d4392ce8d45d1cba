"""A loader around another one."""

from collections.abc import Callable, Iterator
from typing import Any

_NAMES = ("batch_size", "epoch_length", "seek", "close", "items_at")


class ForwardingLoader:
    """Forwards the interface of a loader (`steploop.engine.simple_trainer.Loader`); a subclass changes the batches.

    An attribute that the inner loader does not have raises AttributeError here too.

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
        """Function of a step: returns the items of this rank's part of its batch, without reading them."""
        return self.loader.items_at

    def seek(self, step: int) -> None:
        """Make the next iterator start at `step` >= 0."""
        self.loader.seek(step)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def close(self) -> None:
        """End the loader's workers; it can be iterated over again. Another kind of iterable is not closed."""
        if is_loader(self.loader):
            self.loader.close()


def is_loader(loader: Any) -> bool:
    """Return True if `loader` has the whole interface: a generator, for example, has a `close` of another meaning."""
    return all(hasattr(loader, name) for name in _NAMES)
