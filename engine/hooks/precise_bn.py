"""Computes the statistics of batch normalisation for the current weights."""

import logging
from collections.abc import Iterable
from typing import Any

from torch import nn

from ..checkpoint import unwrap
from ..evaluation.side_pass import restored_buffers, side_pass
from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class PreciseBN(HookBase):
    """Computes the running statistics of batch normalisation again every `period` steps and at the last step.

    During training they are averages over older weights. This hook computes them from `num_iter` batches with the
    current weights ("Rethinking Batch in BatchNorm", arXiv:2105.07576, section 3; with fvcore's implementation).
    Register it before the hooks that evaluate. It uses the trained weights, also if the run averages them (EMA).

    The batches are those of the next steps if the loader has ``seek(step)``, else the loader's first batches. Nothing
    else changes, neither other buffers nor the random numbers of the training. Each process computes its own
    statistics; those of the main process are evaluated and saved.

    Args:
        period: number of steps; 0 means only at the last step.
        model: if it has no batch normalisation in training mode, the hook does nothing.
        data_loader: a second loader of training batches: batches that are read here are lost for the training.
        num_iter: number of batches.

    Raises:
        ValueError: the number of batches is less than 1.
    """

    def __init__(self, period: int, model: nn.Module, data_loader: Iterable[Any], num_iter: int) -> None:
        if num_iter < 1:
            raise ValueError(f"precise statistics need at least one batch; got num_iter={num_iter}")
        self._period = period
        self._model = unwrap(model)
        self._data_loader = data_loader
        self._num_iter = num_iter

    def after_step(self) -> None:
        """Update the statistics at the end of a period."""
        if self.every(self._period) or self.is_last_iter():
            self.update_stats()

    def update_stats(self) -> None:
        """Compute the statistics for the current weights."""
        from fvcore.nn.precise_bn import get_bn_modules, update_bn_stats

        layers = get_bn_modules(self._model)
        if not layers:
            logger.warning("PreciseBN does nothing: the model has no batch normalisation in training mode")
            return
        momenta = [layer.momentum for layer in layers]
        logger.info("Statistics of %d batch normalisations from %d batches", len(layers), self._num_iter)
        if hasattr(self._data_loader, "seek"):
            self._data_loader.seek(self.trainer.iter + 1)
        try:
            with side_pass(self._model, self.trainer.iter), restored_buffers(self._model):
                update_bn_stats(self._model, self._data_loader, self._num_iter)
                precise = [(layer.running_mean, layer.running_var) for layer in layers]
        finally:
            for layer, momentum in zip(layers, momenta):
                layer.momentum = momentum
            if hasattr(self._data_loader, "close"):
                self._data_loader.close()
        for layer, (mean, variance) in zip(layers, precise):
            # fvcore replaces the buffers by new tensors, but DistributedDataParallel, for example, keeps the old ones.
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
