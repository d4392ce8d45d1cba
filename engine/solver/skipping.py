"""Steps whose gradients are not finite, left out."""

import logging

import torch
from torch import nn
from torch.optim import Optimizer

from ..metrics.events import get_event_storage

logger = logging.getLogger(__name__)


class StepSkipper:
    """Decides whether a step is taken; a step that is not leaves neither weights nor buffers changed.

    Gradients are averaged over processes before they are looked at, so that all processes decide alike without a word.
    Looking at them waits for the device once in each step: this is for runs that would end otherwise.

    Args:
        model: its buffers (the statistics of batch normalisation) are put back when a step is skipped.
        limit: how many steps in a row may be skipped.
    """

    def __init__(self, model: nn.Module, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"at least one step must be allowed to be skipped; got {limit}")
        self._buffers = list(model.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]
        self._limit = limit
        self.in_a_row = 0

    def remember(self) -> None:
        """Keep the buffers as they are before the forward pass."""
        with torch.no_grad():
            for kept, buffer in zip(self._kept, self._buffers):
                kept.copy_(buffer)

    def is_skipped(self, optimizer: Optimizer, iteration: int) -> bool:
        """Say whether the step is left out, and then put the buffers back; record it as "skipped_step".

        Raises:
            FloatingPointError: more steps in a row than allowed are not finite.
        """
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        is_finite = bool(torch.isfinite(torch.nn.utils.get_total_norm(grads)))
        get_event_storage().put_scalar("skipped_step", float(not is_finite), smoothing_hint=False, cur_iter=iteration)
        if is_finite:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        if self.in_a_row > self._limit:
            raise FloatingPointError(
                f"the gradients of {self.in_a_row} steps in a row, up to iteration {iteration}, are not finite; "
                f"{self._limit} may be skipped (SOLVER.MAX_SKIPPED_STEPS)"
            )
        logger.warning("Step %d is skipped: its gradients are not finite (%d in a row)", iteration, self.in_a_row)
        with torch.no_grad():
            for kept, buffer in zip(self._kept, self._buffers):
                buffer.copy_(kept)
        return True
