"""Logs the GPU memory that a run uses."""

import logging

import torch

from ..train_loop import HookBase

logger = logging.getLogger(__name__)

_MIB = 2**20


class TorchMemoryStats(HookBase):
    """Logs the memory of this process's GPU every `period` steps and at the last step, `max_runs` times at most.

    "max" is the maximum since the previous line (so "max_mem" on the console is reset too); "reserved" is the memory of
    PyTorch's allocator, "allocated" the part that tensors use. PyTorch's own summary follows the last line. A run
    without a GPU logs nothing.

    Args:
        period: number of steps; 0 means only at the last step.
        max_runs: number of lines.
    """

    def __init__(self, period: int = 20, max_runs: int = 10) -> None:
        self._period = period
        self._max_runs = max_runs
        self._runs = 0

    def after_step(self) -> None:
        """Log at the end of a period."""
        if self._runs >= self._max_runs or not (self.every(self._period) or self.is_last_iter()):
            return
        if not torch.cuda.is_initialized():
            return
        cuda = torch.cuda
        logger.info(
            "iter: %d  max_reserved_mem: %.0fMB  max_allocated_mem: %.0fMB  "
            "reserved_mem: %.0fMB  allocated_mem: %.0fMB",
            self.trainer.iter,
            cuda.max_memory_reserved() / _MIB,
            cuda.max_memory_allocated() / _MIB,
            cuda.memory_reserved() / _MIB,
            cuda.memory_allocated() / _MIB,
        )
        self._runs += 1
        if self._runs == self._max_runs:
            logger.info("\n%s", cuda.memory_summary())
        cuda.reset_peak_memory_stats()
