"""Losses of class scores, with the averages that MMAction2 takes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClassificationLoss(nn.Module):
    """Base of the losses of scores (N, num_classes); `class_weight` gives each class a factor."""

    class_weight: Tensor | None

    def __init__(self, *, loss_weight: float = 1.0, class_weight: Sequence[float] | None = None) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer("class_weight", weight, persistent=False)


class CrossEntropyLoss(ClassificationLoss):
    """Softmax cross-entropy of classes (N,) or of shares (N, num_classes).

    With class weights, both are weighted means: the sum over samples and classes of share * weight * (-log p) over the
    sum of share * weight.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the 0-d loss."""
        weight = None if self.class_weight is None else self.class_weight.to(logits)
        if labels.ndim == 1:
            return self.loss_weight * F.cross_entropy(logits, labels, weight)
        shares = labels.to(logits)
        if weight is None:
            return self.loss_weight * -(shares * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
        weighted = shares * weight
        return self.loss_weight * -(weighted * F.log_softmax(logits, dim=1)).sum() / weighted.sum()


class BCELossWithLogits(ClassificationLoss):
    """Binary cross-entropy of each class by itself, averaged over samples and classes: several labels for a sample.

    Args:
        label_smooth_eps: a label y becomes (1 - eps) * y + eps / num_classes.
        loss_weight: factor of the loss.
        class_weight: factors of the classes.
    """

    def __init__(
        self,
        *,
        label_smooth_eps: float = 0.0,
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
    ) -> None:
        super().__init__(loss_weight=loss_weight, class_weight=class_weight)
        if not 0.0 <= label_smooth_eps < 1.0:
            raise ValueError(f"label_smooth_eps is in [0, 1); came {label_smooth_eps}")
        self.label_smooth_eps = label_smooth_eps

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the 0-d loss of labels (N, num_classes), 0 or 1."""
        if labels.shape != logits.shape:
            raise ValueError(
                f"BCELossWithLogits needs a label for each class, {tuple(logits.shape)}; came {tuple(labels.shape)}: "
                "set multi_class=True in the data sets"
            )
        targets = labels.to(logits)
        if self.label_smooth_eps:
            targets = (1 - self.label_smooth_eps) * targets + self.label_smooth_eps / logits.shape[1]
        weight = None if self.class_weight is None else self.class_weight.to(logits)
        return self.loss_weight * F.binary_cross_entropy_with_logits(logits, targets, weight)
