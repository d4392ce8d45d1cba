"""The losses of detectors: a weighted sum over boxes, divided by a number that the head gives."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .registry import PART_REGISTRY


def _reduce(loss: Tensor, weight: Tensor | None, divisor: float | Tensor | None) -> Tensor:
    """Return the sum of ``loss * weight`` over `divisor`; None takes the number of elements."""
    if weight is not None:
        loss = loss * (weight if weight.dim() == loss.dim() else weight[:, None])
    return loss.mean() if divisor is None else loss.sum() / divisor


@PART_REGISTRY.register()
class CrossEntropyLoss:
    """Cross-entropy of logits (n, K) and labels (n,): softmax, or one sigmoid for each class.

    With sigmoid a label outside of 0..K - 1 is the background: every class is wrong.
    """

    def __init__(self, use_sigmoid: bool = False, loss_weight: float = 1.0) -> None:
        self.use_sigmoid, self._weight = use_sigmoid, loss_weight

    def __call__(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None = None, divisor: float | Tensor | None = None
    ) -> Tensor:
        """Return the loss, 0-d; `weight` is (n,)."""
        logits = logits.float()
        if self.use_sigmoid:
            loss = F.binary_cross_entropy_with_logits(logits, _one_hot(labels, logits), reduction="none")
        else:
            loss = F.cross_entropy(logits, labels, reduction="none")
        return self._weight * _reduce(loss, weight, divisor)


@PART_REGISTRY.register()
class FocalLoss:
    """The focal loss (arXiv:1708.02002) of logits (n, K) and labels (n,), K for the background.

    For a logit x with target t: ``alpha_t * (1 - p_t)^gamma * BCE(x, t)``, where p_t is the probability that is given
    to the truth, and alpha_t is `alpha` for t = 1, ``1 - alpha`` for t = 0.
    """

    use_sigmoid = True

    def __init__(
        self, use_sigmoid: bool = True, gamma: float = 2.0, alpha: float = 0.25, loss_weight: float = 1.0
    ) -> None:
        if not use_sigmoid:
            raise ValueError("FocalLoss has use_sigmoid=True only; a focal loss of a softmax is not implemented")
        self._gamma, self._alpha, self._weight = gamma, alpha, loss_weight

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss (n, K) of each logit."""
        logits = logits.float()
        target = _one_hot(labels, logits)
        p = logits.sigmoid()
        missing = torch.where(target > 0, 1 - p, p)
        alpha = torch.where(target > 0, self._alpha, 1 - self._alpha)
        return alpha * missing**self._gamma * F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def __call__(
        self, logits: Tensor, labels: Tensor, weight: Tensor | None = None, divisor: float | Tensor | None = None
    ) -> Tensor:
        """Return the loss, 0-d; `weight` is (n,)."""
        return self._weight * _reduce(self.elements(logits, labels), weight, divisor)


@PART_REGISTRY.register()
class L1Loss:
    """The absolute difference of deltas (n, 4)."""

    def __init__(self, loss_weight: float = 1.0) -> None:
        self._weight = loss_weight

    def __call__(
        self, deltas: Tensor, target: Tensor, weight: Tensor | None = None, divisor: float | Tensor | None = None
    ) -> Tensor:
        """Return the loss, 0-d; `weight` is (n,) or (n, 4)."""
        return self._weight * _reduce((deltas.float() - target).abs(), weight, divisor)


@PART_REGISTRY.register()
class SmoothL1Loss:
    """The difference of deltas (n, 4), squared (over 2 * beta) where it is below beta; beta 0 is `L1Loss`."""

    def __init__(self, beta: float = 1.0, loss_weight: float = 1.0) -> None:
        self._beta, self._weight = beta, loss_weight

    def __call__(
        self, deltas: Tensor, target: Tensor, weight: Tensor | None = None, divisor: float | Tensor | None = None
    ) -> Tensor:
        """Return the loss, 0-d; `weight` is (n,) or (n, 4)."""
        loss = F.smooth_l1_loss(deltas.float(), target, reduction="none", beta=self._beta)
        return self._weight * _reduce(loss, weight, divisor)


def _one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the target (n, K) of labels (n,); one outside of 0..K - 1 is all 0."""
    classes = torch.arange(logits.shape[1], device=logits.device)
    return (labels[:, None] == classes).to(logits)
