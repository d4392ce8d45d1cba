"""A data set whose samples are computed from an item and that sample's own random numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from .stream import Draw, check_seed, sample_rng

# Few enough that not much is held beside the samples, were it photographs; more makes nothing faster.
_TOGETHER = 8


class SampleError(ValueError):
    """A sample could not be made. The message names its item; the cause is the mapper's own error."""


class MappedDataset(Dataset[Any]):
    """Reads items through a mapper.

    A mapper may also have ``map_together(items, rngs) -> samples``, which gives what single calls give, sooner: doing
    one thing to several samples before the next thing keeps the processor's caches warm.

    Args:
        items: what the data set consists of, such as paths with labels.
        mapper: ``mapper(item, rng) -> sample``; all its randomness comes from `rng`. Worker processes started by
            another method than fork need it to be picklable: a function or object of a module, not a lambda.
        seed: seed of the samples' random numbers, >= 0.
    """

    def __init__(self, items: Sequence[Any], mapper: Callable[[Any, np.random.Generator], Any], seed: int = 0) -> None:
        self.items = items
        self.mapper = mapper
        self.seed = check_seed(seed)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: Draw | int) -> Any:
        """Return a sample. A plain index stands for the draw at the position of the same number.

        Raises:
            IndexError: if there is no such item.
            SampleError: if the mapper fails, whatever the mapper raised.
        """
        index, position = draw if isinstance(draw, Draw) else (draw, draw)
        item = self.items[index]
        try:
            return self.mapper(item, sample_rng(self.seed, position))
        except Exception as error:
            raise SampleError(
                f"item {index} of the data set, {item!r}, gave no sample at position {position}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def __getitems__(self, draws: Sequence[Draw]) -> list[Any]:
        """Return several samples; a DataLoader asks for each batch so.

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
            except Exception:  # one by one, the one that failed is named
                samples += [self[draw] for draw in group]
        return samples
