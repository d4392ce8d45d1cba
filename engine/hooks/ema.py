"""An average of the weights over the steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint import unwrap
from ..train_loop import HookBase


class EMA(HookBase):
    """Keeps an exponential moving average of the weights: ``average = decay * average + (1 - decay) * weights``.

    Buffers (the statistics of batch normalisation) and integers are not averaged but copied. The average is in every
    checkpoint; evaluate inside `applied`.

    Args:
        model: the model that trains; a wrapped one is unwrapped.
        decay: in 0..1, such as 0.999.

    Raises:
        ValueError: the decay is outside 0..1.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"the decay of an average of weights is in 0..1; got {decay}")
        self._model = unwrap(model)
        self._decay = decay
        self._average: dict[str, Tensor] | None = None

    def before_train(self) -> None:
        """Start from the weights as they are, unless this is a resumed run."""
        if self._average is None or self.trainer.start_iter == 0:
            self._average = {name: value.detach().clone() for name, value in self._model.state_dict().items()}

    def after_step(self) -> None:
        """Take one step of the average; everything stays on the device."""
        averaged, weights = self._pairs()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, weights, 1.0 - self._decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights, and its own again afterwards, also after an exception."""
        if self._average is None:
            yield
            return
        own = {name: value.detach().clone() for name, value in self._model.state_dict().items()}
        self._copy_other_tensors(own)
        self._model.load_state_dict(self._average)
        try:
            yield
        finally:
            self._model.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights, under the names of the model's own."""
        if self._average is None:
            return {}
        self._copy_other_tensors(self._model.state_dict())
        return self._average

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over averaged weights; those that another model lacks, or has in another shape, start from the model's.

        The same weights of the model were not loaded either, and the table of them is in the log.
        """
        self._average = {}
        for name, own in self._model.state_dict().items():
            saved = state_dict.get(name, own)
            fitting = saved if saved.shape == own.shape else own
            self._average[name] = fitting.detach().clone().to(own.device)

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        # A weight that two modules share stands under both names in a state dict, and would be loaded from either.
        return self._model.named_parameters(remove_duplicate=False)

    def _pairs(self) -> tuple[list[Tensor], list[Tensor]]:
        assert self._average is not None
        named = [(self._average[name], value.detach()) for name, value in self._parameters()]
        return [average for average, _ in named], [value for _, value in named]

    def _copy_other_tensors(self, own: dict[str, Tensor]) -> None:
        assert self._average is not None
        parameters = dict(self._parameters())
        for name, value in own.items():
            if name not in parameters:
                self._average[name].copy_(value)
