"""Heads: from a backbone's features to class scores, and from scores and labels to a loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .losses import ClassificationLoss


class I3DHead(nn.Module):
    """Average over time and space, dropout, one linear layer.

    Args:
        num_classes: number of classes.
        in_channels: channels of the features.
        loss: of scores and labels.
        dropout_ratio: share of the pooled features that training sets to 0.
        init_std: of the linear layer's initial weights.
        topk: k of the accuracies that training reports; each is cut to the number of classes.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        loss: ClassificationLoss,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        topk: Sequence[int] = (1, 5),
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"a head needs at least one class; came num_classes={num_classes}")
        self.num_classes, self.loss, self.topk = num_classes, loss, tuple(topk)
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else nn.Identity()
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, 0.0, init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def pool(self, features: Tensor) -> Tensor:
        """Return the pooled features (N, C)."""
        return features.mean(dim=(2, 3, 4))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits (N, num_classes) of features (N, C, T, H, W)."""
        return self.fc_cls(self.dropout(self.pool(features)))

    def losses(self, logits: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return {"loss_cls": 0-d loss} and the batch's accuracies {"top1_acc": 0-d, ...}, no value of which is read.

        Args:
            logits: (N, num_classes).
            labels: (N,) classes, or (N, num_classes) shares or memberships.
        """
        loss = {"loss_cls": self.loss(logits, labels)}
        if labels.ndim > 1:
            return loss, {}
        with torch.no_grad():
            largest = logits.topk(min(max(self.topk), self.num_classes), dim=1).indices
            hits = largest == labels[:, None]
            accuracy = {f"top{k}_acc": hits[:, :k].any(dim=1).float().mean() for k in self.topk}
        return loss, accuracy


class SlowFastHead(I3DHead):
    """I3DHead for two pathways: each is averaged by itself, and Fast's features come before Slow's."""

    def pool(self, features: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        """Return the pooled features (N, C_fast + C_slow)."""
        slow, fast = features
        return torch.cat((super().pool(fast), super().pool(slow)), dim=1)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:  # type: ignore[override]
        """Return the logits (N, num_classes) of (Slow's, Fast's) features."""
        return self.fc_cls(self.dropout(self.pool(features)))
