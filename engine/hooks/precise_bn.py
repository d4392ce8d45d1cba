"""Statistics of batch normalisation for the weights as they are."""

import logging
from collections.abc import Iterable
from typing import Any

from torch import nn

from ..checkpoint import unwrap
from ..evaluation.side_pass import kept_buffers, side_pass
from ..train_loop import HookBase

logger = logging.getLogger(__name__)


class PreciseBN(HookBase):
    """Computes the running statistics of batch normalisation anew every `period` steps and at the last one.

    While a model trains, they are averages over weights that have changed since. Here they are those of `num_iter`
    batches with the weights of one step ("Rethinking Batch in BatchNorm", arXiv:2105.07576, section 3; fvcore computes
    them). Register it before what evaluates. The weights are those that train, also where a run averages them (EMA).

    The batches are those of the steps that follow, where the loader can be entered (it has ``seek(step)``), else its
    first ones. Nothing else changes: neither other buffers nor the training's random numbers. Each process computes
    its own; what is evaluated and saved is the main one's.

    Args:
        period: number of steps; 0 means at the last one only.
        model: without batch normalisation in training mode, nothing is done.
        data_loader: of training batches; one of its own, for the training's would lose batches.
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
        """Compute, if it is time."""
        if self.every(self._period) or self.is_last_iter():
            self.update_stats()

    def update_stats(self) -> None:
        """Compute the statistics of the weights as they are."""
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
            with side_pass(self._model, self.trainer.iter), kept_buffers(self._model):
                update_bn_stats(self._model, self._data_loader, self._num_iter)
                precise = [(layer.running_mean, layer.running_var) for layer in layers]
        finally:
            for layer, momentum in zip(layers, momenta):
                layer.momentum = momentum
            if hasattr(self._data_loader, "close"):
                self._data_loader.close()
        for layer, (mean, variance) in zip(layers, precise):
            # fvcore has put new tensors in their place; others hold the old ones (DistributedDataParallel, for one).
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
