"""The losses on samples that are not trained on."""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

import torch
from torch import Tensor, nn

from steploop.config.device import device_of

from ..checkpoint import unwrap
from ..distributed import comm
from ..distributed.ddp import synchronize_buffers
from ..evaluation.side_pass import at_rest, kept_buffers, side_pass
from ..metrics.events import VALIDATION
from ..metrics.losses import split_outputs, total
from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class ValidationLoss(HookBase):
    """Records the mean losses of a held-out set every `period` steps and at the last one, as "validation/<name>".

    TensorBoard shows "validation/total_loss" as a second line in the plot of "total_loss", and each single loss and
    metric in the same way. What mmcv's runners do for ``workflow = [("train", n), ("val", 1)]`` comes to the same: n
    epochs of training, then one pass over the validation set for its losses.

    The model is in training mode, for it returns losses only there, but its normalisation layers use their running
    statistics, and nothing is dropped: what is measured is the model as it would be evaluated. The pass leaves no trace
    in the training: no gradient, no statistics, no random number; a run ends in the same bits with it and without. The
    weights are those that train, as for the training loss, also where a run averages them (EMA).

    A mean is over samples, of all processes; it does not depend on the number of these. So that processes may have
    different numbers of batches, the model is called without its DistributedDataParallel; a model whose losses
    communicate by themselves needs as many batches in each.

    Must be registered in every process.

    Args:
        period: number of steps; 0 means at the last one only.
        model: returns its losses in training mode; a wrapped one is unwrapped.
        data_loader: has a length; each process may have its own share of the batches.
        precision: compute the forward pass in torch.bfloat16 or torch.float16 (autocast); None does not.
        num_samples: returns the number of samples in a batch; see `count_samples`.

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
        """Measure, if it is time."""
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
        """Return {name: [(mean over a batch, its samples), ...]} of this process's batches."""
        values: dict[str, list[Tensor]] = defaultdict(list)
        counts: dict[str, list[int]] = defaultdict(list)
        with side_pass(self._model, self.trainer.iter), at_rest(self._model), kept_buffers(self._model):
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
            return {"total_loss": total(losses), **(losses if len(losses) > 1 else {}), **metrics}


def count_samples(batch: Any) -> int:
    """Return the number of samples in a batch: a tensor's length, that of a dict's first value, or a list's.

    A list or tuple of tensors of one length is taken for the parts of collated samples, such as [images, labels].

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(batch, Tensor) and batch.ndim:
        return len(batch)
    if isinstance(batch, Mapping) and batch:
        return count_samples(next(iter(batch.values())))
    if isinstance(batch, list | tuple) and batch:
        lengths = {len(part) if isinstance(part, Tensor) and part.ndim else None for part in batch}
        return len(batch) if len(lengths) > 1 else lengths.pop() or len(batch)
    raise TypeError(
        f"cannot tell how many samples a batch of type {type(batch).__name__} has: give ValidationLoss a function "
        "num_samples(batch)"
    )


def _weighted_mean(points: list[tuple[float, int]]) -> float:
    products = [value * count for value, count in points]
    # The exact sum does not depend on the order, nor with that on which process had which batch.
    exact = math.fsum(products) if all(map(math.isfinite, products)) else sum(products)
    return exact / sum(count for _, count in points)
