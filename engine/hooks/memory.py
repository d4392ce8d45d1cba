"""How much of a GPU's memory a run takes."""

import logging

import torch

from ..train_loop import HookBase

logger = logging.getLogger(__name__)

_MIB = 2**20


class TorchMemoryStats(HookBase):
    """Logs the memory of this process's GPU every `period` steps and at the last one, `max_runs` times at most.

    "max" is the largest amount since the line before (so "max_mem" on the console starts anew too); "reserved" is what
    PyTorch holds, "allocated" what tensors take of it. After the last line follows PyTorch's own summary. A run that
    uses no GPU logs nothing.

    Args:
        period: number of steps; 0 means at the last one only.
        max_runs: number of lines.
    """

    def __init__(self, period: int = 20, max_runs: int = 10) -> None:
        self._period = period
        self._max_runs = max_runs
        self._runs = 0

    def after_step(self) -> None:
        """Log, if it is time."""
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
