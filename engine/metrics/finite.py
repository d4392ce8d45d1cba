"""Weights that are not finite are found before they become a checkpoint."""

import torch
from torch import Tensor, nn

from .losses import NonFiniteLoss

MOST_NAMES = 10


class NonFiniteWeights(NonFiniteLoss):
    """Weights became NaN or infinite although every loss was finite, such as by the gradient of a square root at 0.

    Attributes:
        iteration: the last completed step; one since the last reading of the metrics has made them so.
        names: of the parameters and buffers.
    """

    def __init__(self, iteration: int, names: list[str]) -> None:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        FloatingPointError.__init__(
            self,
            f"Weights became infinite or NaN in a step up to iteration={iteration}, with finite losses: "
            f"{', '.join(names[:MOST_NAMES])}{more}. No checkpoint holds them: resume from the last one. Look for a "
            "square root, a norm or a division at 0; SOLVER.MAX_SKIPPED_STEPS skips such steps",
        )
        self.iteration = iteration
        self.losses = {}
        self.names = names


def require_finite_weights(model: nn.Module, iteration: int) -> None:
    """Raise if a parameter or a buffer of floating point is NaN, or a parameter is infinite.

    One pass over the weights and one transfer of a number. Infinite buffers are allowed: masks of attention have them.

    Args:
        model: on its device.
        iteration: the last completed step, for the error.

    Raises:
        NonFiniteWeights: there are such weights.
    """
    parameters = {name: value for name, value in model.named_parameters() if value.is_floating_point()}
    buffers = {name: value for name, value in model.named_buffers() if value.is_floating_point() and value.numel()}
    # Norms are quick; a norm may overflow where no element is infinite, so a suspicion is looked at closely.
    if _is_finite(list(parameters.values())) and _has_no_nan(list(buffers.values())):
        return
    bad = [name for name, value in parameters.items() if not bool(torch.isfinite(value).all())]
    bad += [name for name, value in buffers.items() if bool(torch.isnan(value).any())]
    if bad:
        raise NonFiniteWeights(iteration, bad)


@torch.no_grad()
def _is_finite(tensors: list[Tensor]) -> bool:
    return not tensors or bool(torch.isfinite(torch.nn.utils.get_total_norm(tensors)))


@torch.no_grad()
def _has_no_nan(tensors: list[Tensor]) -> bool:
    return not tensors or not bool(torch.isnan(torch.nn.utils.get_total_norm(tensors)))
