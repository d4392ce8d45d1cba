"""An average of the weights over the steps."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint import unwrap
from ..train_loop import HookBase


class EMA(HookBase):
    """Keeps an exponential moving average of the weights: ``average = decay * average + (1 - decay) * weights``.

    Only parameters of floating point are averaged; buffers (the statistics of batch normalisation), integers and extra
    states are the model's own at any time. Averages of float16 and bfloat16 weights are kept in float32, because a step
    of 1 - decay is below their resolution. The average is in every checkpoint; evaluate inside `applied`.

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
            self._average = {name: _precise_copy(value) for name, value in self._parameters()}

    def after_step(self) -> None:
        """Take one step of the average; everything stays on the device."""
        assert self._average is not None
        averaged, weights = [], []
        for name, value in self._parameters():
            average = self._average[name]
            averaged.append(average)
            weights.append(value if value.dtype == average.dtype else value.to(average.dtype))
        with torch.no_grad():
            torch._foreach_lerp_(averaged, weights, 1.0 - self._decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the averaged weights, and its own again afterwards, also after an exception."""
        if self._average is None:
            yield
            return
        own = {name: value.clone() for name, value in self._parameters()}
        self._set(self._average)
        try:
            yield
        finally:
            self._set(own)

    def state_dict(self) -> dict[str, Any]:
        """Return the model's state with the averaged weights, under the names of its parameters."""
        if self._average is None:
            return {}
        state = self._model.state_dict()
        if not self._average.keys() <= state.keys():  # the model saves its weights by other names
            with self.applied():
                state = copy.deepcopy(self._model.state_dict())
        return {**state, **self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load averaged weights; those that another model lacks, or has in another shape, start from the model's.

        The same weights of the model were not loaded either, and the table of them is in the log.
        """
        self._average = {name: _precise_copy(value) for name, value in self._parameters()}
        for name, average in self._average.items():
            saved = state_dict.get(name)
            if isinstance(saved, Tensor) and saved.shape == average.shape:
                average.copy_(saved)

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        # A weight that two modules share stands under both names in a state dict, and would be loaded from either.
        for name, value in self._model.named_parameters(remove_duplicate=False):
            if value.is_floating_point() or value.is_complex():
                yield name, value.detach()

    def _set(self, weights: dict[str, Tensor]) -> None:
        # In place, not with load_state_dict: a model may have entries there that are no tensors, or by other names.
        with torch.no_grad():
            for name, value in self._parameters():
                value.copy_(weights[name])


def _precise_copy(value: Tensor) -> Tensor:
    """Return a copy in at least single precision."""
    is_low = value.is_floating_point() and value.itemsize < 4
    return value.to(torch.float32) if is_low else value.clone()
