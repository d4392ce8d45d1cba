"""The epoch beside the iteration."""

from ..train_loop import HookBase


class EpochRecorder(HookBase):
    """Records the number of epochs done, as a fraction, under "epoch", so that every writer shows it.

    Use the period of PeriodicWriter: between two of its lines nothing is recorded, and a step costs one modulo.

    Args:
        iterations_per_epoch: > 0, not always whole.
        period: number of steps; 0 means only at the last step.
    """

    def __init__(self, iterations_per_epoch: float, period: int = 20) -> None:
        self._iterations_per_epoch = iterations_per_epoch
        self._period = period

    def after_step(self) -> None:
        """Record the epoch at the end of a period."""
        if self.every(self._period) or self.is_last_iter():
            epoch = (self.trainer.iter + 1) / self._iterations_per_epoch
            self.trainer.storage.put_scalar("epoch", epoch, smoothing_hint=False)
