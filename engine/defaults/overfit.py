"""A loader's first batches again and again: a model that cannot learn them by heart has a bug."""

import copy
import logging
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

logger = logging.getLogger(__name__)


class OverfitLoader:
    """Gives the batches of the first `num_steps` steps for ever: step s gets those of step s % num_steps.

    They are read once and held in memory, so their augmentation does not change either. Each is given as a copy, which
    a model may change in place. A run is resumed with the batches that it would have gone on with.

    Args:
        loader: an endless iterable; what has `seek(step)` is entered at step 0.
        num_steps: at least 1.
        batches_per_step: batches that make one step (SOLVER.ACCUMULATE).

    Raises:
        ValueError: `num_steps` is less than 1; when it is iterated, the loader has fewer batches.
    """

    def __init__(self, loader: Any, num_steps: int, *, batches_per_step: int = 1) -> None:
        if num_steps < 1:
            raise ValueError(f"DATALOADER.OVERFIT_BATCHES is a number of steps, or 0 for never; got {num_steps}")
        self._loader = loader
        self._num_steps = num_steps
        self._batches_per_step = batches_per_step
        self._batches: list[Any] = []
        self._step = 0
        logger.warning("DATALOADER.OVERFIT_BATCHES: training on the batches of the first %d steps only", num_steps)

    @property
    def dataset(self) -> Any:
        """The data set of the loader."""
        return self._loader.dataset

    @property
    def batch_size(self) -> int:
        """Samples of one optimizer step over all ranks and micro-batches."""
        return self._loader.batch_size

    @property
    def epoch_length(self) -> int:
        """Samples of one epoch over all ranks; it stays that of the whole set."""
        return self._loader.epoch_length

    @property
    def items_at(self) -> Callable[[int], list[Any]]:
        """Takes a step, and returns the items of this rank's part of its batch."""
        items_at = self._loader.items_at  # where the loader has none, neither has this
        return lambda step: items_at(step % self._num_steps)

    def seek(self, step: int) -> None:
        """Let the next iterator start at `step` >= 0."""
        self._step = step

    def __iter__(self) -> Iterator[Any]:
        if not self._batches:
            self._batches = self._read()
        for place in count(self._step * self._batches_per_step):
            yield copy.deepcopy(self._batches[place % len(self._batches)])

    def close(self) -> None:
        """End the loader's workers, if it has some."""
        if hasattr(self._loader, "close"):
            self._loader.close()

    def _read(self) -> list[Any]:
        if hasattr(self._loader, "seek"):
            self._loader.seek(0)
        wanted = self._num_steps * self._batches_per_step
        try:
            batches = list(islice(self._loader, wanted))
        finally:
            self.close()
        if len(batches) < wanted:
            raise ValueError(
                f"DATALOADER.OVERFIT_BATCHES: the data loader ended after {len(batches)} batches; {wanted} are needed"
            )
        return batches
