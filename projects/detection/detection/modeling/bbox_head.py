"""The second stage's head: the class of a proposal, and a better box for it."""

import torch
from torch import Tensor, nn

from steploop.modeling.layers.boxes import BoxCoder

from .losses import CrossEntropyLoss, L1Loss, SmoothL1Loss


class BBoxHead(nn.Module):
    """Two shared fully connected layers, then scores of K classes and the background, and a box for each class.

    Args:
        num_classes: K; the background is label K.
        in_channels: of the pooled features.
        roi_feat_size: their cells along each axis.
        fc_out_channels: of the shared layers.
        coder: codes boxes relative to proposals.
        loss_cls: of the scores, with softmax.
        loss_bbox: of the deltas of proposals that stand for an object.
        num_shared_fcs: how many shared layers there are.
        class_agnostic: one box for all classes.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        roi_feat_size: int = 7,
        fc_out_channels: int = 1024,
        coder: BoxCoder,
        loss_cls: CrossEntropyLoss,
        loss_bbox: L1Loss | SmoothL1Loss,
        num_shared_fcs: int = 2,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.class_agnostic = num_classes, class_agnostic
        self.coder, self._loss_cls, self._loss_bbox = coder, loss_cls, loss_bbox
        widths = [in_channels * roi_feat_size**2, *[fc_out_channels] * num_shared_fcs]
        self.shared_fcs = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.fc_cls = nn.Linear(widths[-1], num_classes + 1)
        self.fc_reg = nn.Linear(widths[-1], 4 if class_agnostic else 4 * num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.fc_cls.weight, std=0.01)
        nn.init.normal_(self.fc_reg.weight, std=0.001)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (R, K + 1) and deltas (R, 4 * K) of pooled features (R, C, h, w)."""
        x = pooled.flatten(1)
        for layer in self.shared_fcs:
            x = layer(x).relu()
        return self.fc_cls(x), self.fc_reg(x)

    def losses(self, scores: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return "loss_cls", "loss_bbox" and the metric "acc", the share of right classes in percent.

        Args:
            scores: (R, K + 1).
            deltas: (R, 4 * K).
            labels: (R,), K for the background.
            targets: (R, 4) deltas, read where the label is no background.
        """
        sampled = max(len(labels), 1)
        objects = (labels < self.num_classes).nonzero()[:, 0]
        of_class = torch.zeros_like(labels[objects]) if self.class_agnostic else labels[objects]
        own = deltas.reshape(len(deltas), deltas.shape[1] // 4, 4)[objects, of_class]
        right = (scores.argmax(dim=1) == labels).float().sum() * (100.0 / sampled)
        return {
            # Sums: without any sample they are 0 and still connected to the graph.
            "loss_cls": self._loss_cls(scores, labels, None, None) if len(labels) else scores.sum() * 0,
            "loss_bbox": self._loss_bbox(own, targets[objects], None, sampled) if len(objects) else deltas.sum() * 0,
            "acc": right.detach(),
        }
