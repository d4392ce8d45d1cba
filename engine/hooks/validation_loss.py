"""Measures the losses on validation sets."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sized
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config.device import device_of

from ..checkpoint import unwrap
from ..distributed import comm
from ..distributed.ddp import synchronize_buffers
from ..evaluation.samples import count_samples
from ..evaluation.side_pass import at_rest, restored_buffers, side_pass
from ..metrics.events import VALIDATION
from ..metrics.losses import split_outputs, total
from ..metrics.names import RESERVED, renamed
from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class ValidationLoss(HookBase):
    """Records the mean losses of a validation set every `period` steps and at the last step, as "validation/<name>".

    TensorBoard shows "validation/total_loss" as a second line in the plot of "total_loss"; likewise for each loss and
    metric. It is equivalent to ``workflow = [("train", n), ("val", 1)]`` of mmcv's runners: n epochs of training, then
    one pass over the validation set for its losses.

    The model is in training mode, because it returns losses only there, but its normalisation layers use their running
    statistics, and dropout is disabled, as in an evaluation. The pass does not change the training: no gradients,
    statistics or random numbers, so a run has the same bits with and without this hook. It uses the trained weights, as
    the training loss does, also if the run averages them (EMA).

    A mean is over the samples of all processes and does not depend on the number of processes. The model is called
    without its DistributedDataParallel, so that processes may have different numbers of batches; a model whose losses
    communicate themselves needs the same number of batches in each process.

    Register it in every process.

    Args:
        period: number of steps; 0 means only at the last step.
        model: returns its losses in training mode; a wrapped model is unwrapped.
        data_loader: has a length; each process may have its own part of the batches.
        precision: compute the forward pass under autocast in torch.bfloat16 or torch.float16; None: without autocast.
        num_samples: returns the number of samples in a batch; by default `count_samples`.

    Raises:
        TypeError: the loader has no length, such as one for training.
    """

    def __init__(
        self,
        period: int,
        model: nn.Module,
        data_loader: Iterable[Any],
        *,
        precision: torch.dtype | None = None,
        num_samples: Callable[[Any], int] | None = None,
    ) -> None:
        if not isinstance(data_loader, Sized):
            raise TypeError(
                f"a validation loader has a length and ends; got {type(data_loader).__name__}, which has none "
                "(steploop.data.build_test_loader makes one)"
            )
        self._period = period
        self._model = unwrap(model)
        self._data_loader = data_loader
        self._precision = precision
        self._num_samples = num_samples or count_samples

    def after_step(self) -> None:
        """Measure at the end of a period."""
        if self.every(self._period) or self.is_last_iter():
            means = self._mean_losses()
            for name, value in means.items():
                self.trainer.storage.put_scalar(VALIDATION + name, value, smoothing_hint=False)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
            logger.info("Validation at iteration %d: %s", self.trainer.iter, shown)

    def _mean_losses(self) -> dict[str, float]:
        """Return the mean of each loss and metric over the samples of all processes that have it."""
        ranks = comm.all_gather(self._measure())
        names = dict.fromkeys(name for points in ranks for name in points)
        if not names:
            raise ValueError("there is nothing to measure the validation loss on: the data loader has no batch")
        return {name: _weighted_mean([point for points in ranks for point in points.get(name, ())]) for name in names}

    def _measure(self) -> dict[str, list[tuple[float, int]]]:
        """Return {name: [(mean over a batch, number of its samples), ...]} for this process's batches."""
        values: dict[str, list[Tensor]] = defaultdict(list)
        counts: dict[str, list[int]] = defaultdict(list)
        with side_pass(self._model, self.trainer.iter), at_rest(self._model), restored_buffers(self._model):
            synchronize_buffers(self._model)
            for batch in self._data_loader:
                count = self._num_samples(batch)
                for name, value in self._forward(batch).items():
                    values[name].append(torch.as_tensor(value).detach().reshape(()))
                    counts[name].append(count)
            return {name: list(zip(torch.stack(each).tolist(), counts[name])) for name, each in values.items()}

    def _forward(self, batch: Any) -> dict[str, Any]:
        device = device_of(self._model).type
        with torch.autocast(device, self._precision, enabled=self._precision is not None):
            losses, metrics = split_outputs(self._model(batch))
            parts = {**(losses if len(losses) > 1 else {}), **metrics}
            parts = {renamed(name, "the model") if name in RESERVED else name: value for name, value in parts.items()}
            return {"total_loss": total(losses), **parts}


def _weighted_mean(points: list[tuple[float, int]]) -> float:
    products = [value * count for value, count in points]
    # The exact sum does not depend on the order, nor with that on which process had which batch.
    exact = math.fsum(products) if all(map(math.isfinite, products)) else sum(products)
    return exact / sum(count for _, count in points)
