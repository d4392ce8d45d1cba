"""Bounded gradients, group by group."""

from typing import Any

import torch

from steploop.engine import HookBase


class GroupGradientClipping(HookBase):
    """Clips the norm of the gradients of each parameter group by itself, and records the largest as "grad_norm".

    fast-reid clips so: its optimizer keeps the gradients of a group in one buffer.

    Args:
        clip_value: the largest norm of a group.
        norm_type: the p of the norm.

    Raises:
        ValueError: the value is not positive.
    """

    trainer: Any  # one with an optimizer

    def __init__(self, clip_value: float, norm_type: float = 2.0) -> None:
        if not clip_value > 0:
            raise ValueError(f"gradients are clipped to a positive value; got {clip_value}")
        self._clip_value, self._norm_type = clip_value, norm_type

    def after_backward(self) -> None:
        """Clip; the norms before that stay on the device."""
        norms = []
        for group in self.trainer.optimizer.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                norms.append(torch.nn.utils.clip_grad_norm_(parameters, self._clip_value, self._norm_type))
        if norms:
            self.trainer.storage.put_scalar("grad_norm", torch.stack(norms).max())
