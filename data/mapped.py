"""A data set whose samples are computed from an item and that sample's own random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from .stream import Draw, Place, check_seed, sample_rng

# Number of samples that `map_together` gets: small, to limit the memory for photographs; more is not faster.
_TOGETHER = 8


class SampleError(ValueError):
    """A sample could not be made. The message names its item; the cause is the mapper's own error."""


class StepMapper(ABC):
    """A mapper that also gets the sample's place in the stream, to draw values that all samples of a step share.

    For example, one image scale for all samples of ten steps::

        def __call__(self, item, rng, place):
            resize = self.resize.draw(size, place.step_rng(period=10))
    """

    @abstractmethod
    def __call__(self, item: Any, rng: np.random.Generator, place: Place) -> Any:
        """Return the sample of an item.

        Args:
            item: an item of the data set.
            rng: the sample's own random numbers.
            place: has the step, and random numbers that are the same for all samples of the step.
        """


Mapper = Callable[[Any, np.random.Generator], Any] | StepMapper
"""``mapper(item, rng) -> sample``, or a StepMapper."""


class MappedDataset(Dataset[Any]):
    """Reads items through a mapper.

    A mapper may also have ``map_together(items, rngs) -> samples``, which returns the same as single calls, but faster:
    applying one operation to several samples before the next operation uses the CPU's caches better.

    Args:
        items: the items of the data set, such as paths with labels.
        mapper: ``mapper(item, rng) -> sample``; all its random numbers come from `rng`. If worker processes are not
            forked, it must be picklable: a function or object of a module, not a lambda.
        seed: seed of the samples' random numbers, >= 0.
        batch_size: samples of one optimizer step over all ranks and micro-batches; only a StepMapper needs it.

    Raises:
        ValueError: the mapper is a StepMapper, and there is no batch size >= 1.
    """

    def __init__(self, items: Sequence[Any], mapper: Mapper, seed: int = 0, *, batch_size: int | None = None) -> None:
        if isinstance(mapper, StepMapper) and (batch_size is None or batch_size < 1):
            raise ValueError(
                f"a StepMapper needs the batch size, to know its step: expected one >= 1, got {batch_size}"
            )
        self.items = items
        self.mapper = mapper
        self.seed = check_seed(seed)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: Draw | int) -> Any:
        """Return a sample. An int i stands for Draw(i, i): item i at position i.

        Raises:
            IndexError: there is no such item.
            SampleError: the mapper failed with any error.
        """
        index, position = draw if isinstance(draw, Draw) else (draw, draw)
        item = self.items[index]
        try:
            return self._map(item, position)
        except Exception as error:
            raise SampleError(
                f"item {index} of the data set, {item!r}, gave no sample at position {position}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _map(self, item: Any, position: int) -> Any:
        rng = sample_rng(self.seed, position)
        if isinstance(self.mapper, StepMapper):
            assert self.batch_size is not None
            return self.mapper(item, rng, Place(self.seed, position, self.batch_size))
        return self.mapper(item, rng)

    def __getitems__(self, draws: Sequence[Draw]) -> list[Any]:
        """Return several samples; DataLoader calls this for each batch.

        Raises:
            IndexError, SampleError: as for a single one.
        """
        if not hasattr(self.mapper, "map_together"):
            return [self[draw] for draw in draws]
        samples: list[Any] = []
        for start in range(0, len(draws), _TOGETHER):
            group = draws[start : start + _TOGETHER]
            try:
                items = [self.items[draw.index] for draw in group]
                samples += self.mapper.map_together(items, [sample_rng(self.seed, draw.position) for draw in group])
            except Exception:  # again one by one, so that the error names the item that failed
                samples += [self[draw] for draw in group]
        return samples
