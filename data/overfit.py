"""A loader's first batches again and again: a model that cannot learn them by heart has a bug."""

import copy
import logging
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

from .forwarding import ForwardingLoader

logger = logging.getLogger(__name__)


class OverfitLoader(ForwardingLoader):
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
        super().__init__(loader)
        self._num_steps = num_steps
        self._batches_per_step = batches_per_step
        self._batches: list[Any] = []
        self._step = 0
        logger.warning("DATALOADER.OVERFIT_BATCHES: training on the batches of the first %d steps only", num_steps)

    @property
    def items_at(self) -> Callable[[int], list[Any]]:
        """Takes a step, and returns the items of this rank's part of its batch."""
        items_at = self.loader.items_at  # where the loader has none, neither has this
        return lambda step: items_at(step % self._num_steps)

    def seek(self, step: int) -> None:
        """Let the next iterator start at `step` >= 0."""
        self._step = step

    def __iter__(self) -> Iterator[Any]:
        if not self._batches:
            self._batches = self._read()
        for place in count(self._step * self._batches_per_step):
            yield copy.deepcopy(self._batches[place % len(self._batches)])

    def _read(self) -> list[Any]:
        if hasattr(self.loader, "seek"):
            self.loader.seek(0)
        wanted = self._num_steps * self._batches_per_step
        try:
            # Copied, because what a worker sends is shared memory, with an open file for each tensor.
            batches = [copy.deepcopy(batch) for batch in islice(self.loader, wanted)]
        finally:
            self.close()
        if len(batches) < wanted:
            raise ValueError(
                f"DATALOADER.OVERFIT_BATCHES: the data loader ended after {len(batches)} batches; {wanted} are needed"
            )
        return batches
