"""Clips gradients."""

from typing import Any

import torch

from ..train_loop import HookBase


class GradientClipping(HookBase):
    """Clips gradients between backward pass and optimizer step, and records their norm as "grad_norm".

    Args:
        clip_value: the largest norm, or the largest absolute value of an element.
        clip_type: "norm" bounds the norm of all gradients together, "value" each element.
        norm_type: the p of the norm that is recorded (and bounded).

    Raises:
        ValueError: the type is neither of the two, or the value is not positive.
    """

    trainer: Any  # one with an optimizer

    def __init__(self, clip_value: float, clip_type: str = "norm", norm_type: float = 2.0) -> None:
        if clip_type not in ("norm", "value"):
            raise ValueError(f'the type of clipping is "norm" or "value"; got {clip_type!r}')
        if not clip_value > 0:
            raise ValueError(f"gradients are clipped to a positive value; got {clip_value}")
        self._clip_value = clip_value
        self._clip_type = clip_type
        self._norm_type = norm_type

    def before_train(self) -> None:
        """Make an infinite "grad_norm" end the run: clipping by value would hide an infinite gradient.

        Not with the scaler of float16, which expects infinite gradients and skips their steps.
        """
        scaler = getattr(self.trainer, "grad_scaler", None)
        if scaler is None or not scaler.is_enabled():
            self.trainer.storage.watched.add("grad_norm")

    def after_backward(self) -> None:
        """Clip the gradients of the optimizer's parameters; record their norm before clipping, without reading it."""
        parameters = [p for group in self.trainer.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters], self._norm_type)
        if self._clip_type == "norm":
            torch.nn.utils.clip_grads_with_norm_(parameters, self._clip_value, norm)
        else:
            torch.nn.utils.clip_grad_value_(parameters, self._clip_value)
        self.trainer.storage.put_scalar("grad_norm", norm)
