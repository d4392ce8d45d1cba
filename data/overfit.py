"""Repeats a loader's first batches: a model that cannot memorise them has a bug."""

import copy
import logging
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

from .forwarding import ForwardingLoader

logger = logging.getLogger(__name__)


class OverfitLoader(ForwardingLoader):
    """Repeats the batches of the first `num_steps` steps without end: step s gets those of step s % num_steps.

    They are read once and stored in memory, so their augmentation does not change either. Each batch is returned as a
    copy, which a model may change in place. A resumed run gets the same batches as a run without a stop.

    Args:
        loader: an endless iterable; if it has `seek(step)`, it starts at step 0.
        num_steps: at least 1.
        batches_per_step: number of batches of one step (SOLVER.ACCUMULATE).

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
        """Function of a step: returns the items of this rank's part of its batch."""
        items_at = self.loader.items_at  # here, so that hasattr is False if the loader has none
        return lambda step: items_at(step % self._num_steps)

    def seek(self, step: int) -> None:
        """Make the next iterator start at `step` >= 0."""
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
            # Copied, because a worker's tensors are in shared memory, with an open file for each tensor.
            batches = [copy.deepcopy(batch) for batch in islice(self.loader, wanted)]
        finally:
            self.close()
        if len(batches) < wanted:
            raise ValueError(
                f"DATALOADER.OVERFIT_BATCHES: the data loader ended after {len(batches)} batches; {wanted} are needed"
            )
        return batches
