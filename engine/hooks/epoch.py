"""The epoch beside the iteration."""

from ..train_loop import HookBase


class EpochRecorder(HookBase):
    """Records as "epoch" how many epochs were trained on, as a fraction, where writers write.

    So every writer shows it beside the iteration. With a period like PeriodicWriter's, the other steps cost a modulo.

    Args:
        iterations_per_epoch: positive, not always whole.
        period: number of steps; 0 means at the last one only.
    """

    def __init__(self, iterations_per_epoch: float, period: int = 20) -> None:
        self._iterations_per_epoch = iterations_per_epoch
        self._period = period

    def after_step(self) -> None:
        """Record it, if it is time."""
        if self.every(self._period) or self.is_last_iter():
            epoch = (self.trainer.iter + 1) / self._iterations_per_epoch
            self.trainer.storage.put_scalar("epoch", epoch, smoothing_hint=False)
