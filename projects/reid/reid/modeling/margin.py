"""Classification layers: how cosines or plain products become logits with a margin at the true class."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploop.modeling import full_precision


class Linear(nn.Module):
    """No margin: the products of feature and class weight, times `scale`.

    Args:
        num_classes: number of classes K.
        scale: factor of all logits.
        margin: how much harder the true class is made; each subclass says in which unit. Not used here.
    """

    # Whether forward takes cosines, in place of products of vectors as they are.
    takes_cosines = False

    def __init__(self, num_classes: int, scale: float, margin: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.scale = scale
        self.margin = margin

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits (B, K) for the loss.

        Args:
            logits: products or cosines (B, K); not changed.
            targets: classes (B,), int64, in 0..K-1.
        """
        return logits * self.scale

    def extra_repr(self) -> str:
        """Say the layer's settings in `print(model)`."""
        return f"num_classes={self.num_classes}, scale={self.scale}, margin={self.margin}"


class CosSoftmax(Linear):
    """Takes `margin` off the cosine of the true class (CosFace, arXiv:1801.09414)."""

    takes_cosines = True

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits (B, K) for the loss; see `Linear`."""
        return (logits - self.margin * F.one_hot(targets, logits.shape[1])) * self.scale


class ArcSoftmax(Linear):
    """Adds `margin`, in radians, to the angle of the true class (ArcFace, arXiv:1801.07698)."""

    takes_cosines = True

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits (B, K) for the loss; see `Linear`."""
        index = targets[:, None]
        # The slope of acos is infinite at -1 and 1.
        true = logits.gather(1, index).clamp(-1 + 1e-7, 1 - 1e-7)
        return logits.scatter(1, index, torch.cos(true.acos() + self.margin)) * self.scale


class CircleSoftmax(Linear):
    """Weighs each cosine by its distance from its aim: 1 + `margin` or -`margin` (arXiv:2002.10857)."""

    takes_cosines = True

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits (B, K) for the loss; see `Linear`."""
        fixed = logits.detach()
        true = F.relu(1 + self.margin - fixed) * (logits - (1 - self.margin))
        other = F.relu(fixed + self.margin) * (logits - self.margin)
        return torch.where(F.one_hot(targets, logits.shape[1]).bool(), true, other) * self.scale


@full_precision
def cosine_logits(features: Tensor, weight: Tensor) -> Tensor:
    """Return the cosines (B, K) of `features` (B, D) and class weights (K, D)."""
    return F.linear(F.normalize(features), F.normalize(weight))


_LAYERS = {layer.__name__: layer for layer in (Linear, CosSoftmax, ArcSoftmax, CircleSoftmax)}


def build_cls_layer(name: str, num_classes: int, scale: float, margin: float) -> Linear:
    """Return a new classification layer, by the name of one of the classes above.

    Raises:
        ValueError: no layer has that name.
    """
    if name not in _LAYERS:
        raise ValueError(f"unknown classification layer {name!r}: expected one of {', '.join(_LAYERS)}")
    return _LAYERS[name](num_classes, scale, margin)
