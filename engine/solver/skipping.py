"""Skips steps whose loss or gradients are not finite."""

import logging

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..distributed import comm
from ..metrics.events import get_event_storage

logger = logging.getLogger(__name__)


class StepSkipper:
    """Decides which steps are skipped; a skipped step does not change weights and buffers.

    All processes skip the same steps. The check waits for the device once in each step, and with several processes
    needs one small collective: use it only for runs that would fail otherwise.

    Args:
        model: its buffers (the statistics of batch normalisation) are restored when a step is skipped.
        limit: how many steps in a row may be skipped.
    """

    def __init__(self, model: nn.Module, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"at least one step must be allowed to be skipped; got {limit}")
        self._model = model
        self._saved: list[tuple[nn.Module, str, Tensor, Tensor]] = []  # module, name, buffer, copy
        self._limit = limit
        self.in_a_row = 0

    def remember(self) -> None:
        """Copy the buffers before the forward pass, which may change or replace them."""
        buffers = [
            (module, name, buffer)
            for module in self._model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        known = {id(buffer): copy for _, _, buffer, copy in self._saved}
        with torch.no_grad():
            self._saved = [
                (module, name, buffer, known[id(buffer)].copy_(buffer) if id(buffer) in known else buffer.clone())
                for module, name, buffer in buffers
            ]

    def is_skipped(self, optimizer: Optimizer, loss: Tensor, iteration: int) -> bool:
        """Return True if the step is to be skipped, after restoring the buffers; record 0 or 1 as "skipped_step".

        Args:
            optimizer: the optimizer of the parameters; their gradients must not be clipped yet.
            loss: the total loss, 0-d.
            iteration: the current step.

        Raises:
            FloatingPointError: more steps in a row than allowed are not finite.
        """
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        is_finite = _everywhere(torch.isfinite(norm) & torch.isfinite(loss.detach()).to(norm.device))
        get_event_storage().put_scalar("skipped_step", float(not is_finite), smoothing_hint=False, cur_iter=iteration)
        if is_finite:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        if self.in_a_row > self._limit:
            raise FloatingPointError(
                f"the loss or the gradients of {self.in_a_row} steps in a row, up to iteration {iteration}, are not "
                f"finite; {self._limit} may be skipped (SOLVER.MAX_SKIPPED_STEPS)"
            )
        logger.warning(
            "Step %d is skipped: its loss or gradients are not finite (%d in a row)", iteration, self.in_a_row
        )
        with torch.no_grad():
            for module, name, buffer, copy in self._saved:
                module._buffers[name] = buffer.copy_(copy)
        return True


def _everywhere(condition: Tensor) -> bool:
    """Return True if the condition is true in every process; each process has its own loss."""
    if comm.get_world_size() > 1:
        number = condition.to(torch.int32)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MIN)
        return bool(number.item())
    return bool(condition)
