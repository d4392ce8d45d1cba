"""Losses of re-identification: pure functions of a batch that never wait for the device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from steploop.modeling import full_precision

# Stands for minus infinity where logsumexp over nothing must still have a gradient (zero).
_NOTHING = -1e8


@full_precision
def cross_entropy_loss(pred_class_outputs: Tensor, gt_classes: Tensor, eps: float, alpha: float = 0.2) -> Tensor:
    """Return the mean cross entropy with label smoothing (arXiv:1512.00567).

    The true class weighs 1 - eps and each of the others eps / (K - 1).

    Args:
        pred_class_outputs: logits (B, K).
        gt_classes: classes (B,), int64, in 0..K-1.
        eps: smoothing in 0..1; a negative value smooths each sample by `alpha` times its predicted probability of the
            true class.
        alpha: see `eps`; not used otherwise.

    Raises:
        ValueError: there is only one class, over which nothing can be smoothed.
    """
    num_classes = pred_class_outputs.shape[1]
    if num_classes < 2:
        raise ValueError(f"cross entropy needs logits of at least 2 classes, got shape {(*pred_class_outputs.shape,)}")
    log_probs = F.log_softmax(pred_class_outputs, dim=1)
    true = log_probs.gather(1, gt_classes[:, None]).squeeze(1)
    others = log_probs.sum(dim=1) - true
    smoothing = alpha * true.detach().exp() if eps < 0 else eps
    return -((1 - smoothing) * true + smoothing / (num_classes - 1) * others).mean()


@full_precision
def focal_loss(pred_class_outputs: Tensor, gt_classes: Tensor, alpha: float, gamma: float = 2.0) -> Tensor:
    """Return the focal loss (arXiv:1708.02002) of a softmax: the mean of ``-alpha * (1 - p) ** gamma * log p``.

    Args:
        pred_class_outputs: logits (B, K).
        gt_classes: classes (B,), int64, in 0..K-1; p is the probability of a sample's class.
        alpha: factor.
        gamma: how much less well classified samples count.
    """
    log_p = F.log_softmax(pred_class_outputs, dim=1).gather(1, gt_classes[:, None]).squeeze(1)
    # 1 - p as -expm1(log p) keeps its digits where p is nearly 1, and is not below 0; its power 0.5 has no slope at 0.
    return -(alpha * (-torch.expm1(log_p)).clamp(min=1e-12) ** gamma * log_p).mean()


@full_precision
def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = 16.0) -> Tensor:
    """Return the symmetric divergence of two classifiers' softened outputs (arXiv:1503.02531, both ways).

    It is the mean of the divergences KL(student || teacher) and KL(teacher || student) at a temperature T, times T^2.

    Args:
        student: logits (B, K).
        teacher: logits (B, K).
        temperature: T.
    """
    log_s, log_t = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    one = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    other = F.kl_div(log_t, log_s, reduction="batchmean", log_target=True)
    return (one + other) / 2 * temperature**2


@full_precision
def triplet_loss(embedding: Tensor, targets: Tensor, margin: float, norm_feat: bool, hard_mining: bool) -> Tensor:
    """Return the batch triplet loss, the mean over all anchors that have a negative in the batch.

    Each anchor is compared with one positive distance p and one negative distance n: ``max(0, p - n + margin)``, or the
    soft margin ``log(1 + exp(p - n))``. An anchor is its own positive, at distance 0, which counts only where it has no
    other. The loss of a batch with a single identity is 0.

    Args:
        embedding: features (B, D).
        targets: identities (B,).
        margin: the margin in units of the distance; 0 takes the soft margin.
        norm_feat: measure 2 - 2 cos (the squared distance of normalised features) in place of the Euclidean distance.
        hard_mining: take the farthest positive and the nearest negative (arXiv:1703.07737); otherwise the means of all,
            weighted by their softmax in favour of the hard ones (arXiv:2001.04193).
    """
    distance = _squared_cosine_distance(embedding) if norm_feat else _euclidean_distance(embedding)
    positive = targets[:, None] == targets[None, :]
    if hard_mining:
        to_positive = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
        to_negative = distance.masked_fill(positive, torch.inf).amin(dim=1)
    else:
        to_positive = _softmax_mean(distance, distance, positive)
        to_negative = _softmax_mean(distance, -distance, ~positive)
    has_negative = (~positive).any(dim=1)
    gap = to_positive - to_negative
    loss = F.relu(gap + margin) if margin > 0 else F.softplus(gap)
    return (loss * has_negative).sum() / has_negative.sum().clamp(min=1)


def _euclidean_distance(x: Tensor) -> Tensor:
    """Return all distances (B, B) between the rows of `x` (B, D)."""
    # Distances do not change with the origin, and near it less is lost when equal numbers cancel below.
    x = x - x.detach().mean(dim=0)
    norms = x.square().sum(dim=1)
    squared = norms[:, None] + norms[None, :] - 2 * x @ x.T
    return squared.clamp(min=1e-12).sqrt()  # the root of 0 has an infinite gradient


def _squared_cosine_distance(x: Tensor) -> Tensor:
    """Return 2 - 2 cos of all pairs (B, B) of rows of `x` (B, D)."""
    x = F.normalize(x, dim=1)
    return 2 - 2 * x @ x.T


def _softmax_mean(distance: Tensor, score: Tensor, mask: Tensor) -> Tensor:
    """Return each row's mean of `distance` over `mask`, weighted by the exponential of `score`.

    Scores count relative to 0 or a greater one, and the sum of weights gets a further 1e-6, as in the published code:
    negatives farther than about 14 weigh less than that and draw the mean towards 0.
    """
    top = (score * mask).amax(dim=1, keepdim=True)
    weight = (score - top).exp() * mask
    return (distance * weight).sum(dim=1) / (weight.sum(dim=1) + 1e-6)


@full_precision
def pairwise_circleloss(embedding: Tensor, targets: Tensor, margin: float, gamma: float) -> Tensor:
    """Return the circle loss over all pairs of a batch (arXiv:2002.10857).

    Args:
        embedding: features (B, D); they are normalised here.
        targets: identities (B,).
        margin: relaxation m: positives aim at a cosine of 1 - m, negatives at m.
        gamma: scale of the logits.
    """
    cosine, positive, negative = _pairs(embedding, targets)
    weight_p = F.relu(1 + margin - cosine.detach())
    weight_n = F.relu(cosine.detach() + margin)
    logit_p = -gamma * weight_p * (cosine - (1 - margin))
    logit_n = gamma * weight_n * (cosine - margin)
    return _pair_loss(logit_p, positive, logit_n, negative)


@full_precision
def pairwise_cosface(embedding: Tensor, targets: Tensor, margin: float, gamma: float) -> Tensor:
    """Return the loss of CosFace (arXiv:1801.09414) in its form over all pairs of a batch (arXiv:2002.10857).

    Args:
        embedding: features (B, D); they are normalised here.
        targets: identities (B,).
        margin: how far, as a cosine, every positive shall be nearer than every negative.
        gamma: scale of the logits.
    """
    cosine, positive, negative = _pairs(embedding, targets)
    return _pair_loss(-gamma * cosine, positive, gamma * (cosine + margin), negative)


@full_precision
def queue_cosface(
    features: Tensor, targets: Tensor, queue: Tensor, labels: Tensor, own: Tensor, margin: float, gamma: float
) -> Tensor:
    """Return `pairwise_cosface` of a batch against a memory.

    Args:
        features: (B, D), normalised.
        targets: identities (B,).
        queue: (K, D), normalised.
        labels: identities (K,).
        own: (B,) the place of each sample itself in the queue, which is no pair.
        margin: see `pairwise_cosface`.
        gamma: scale of the logits.
    """
    cosine = features @ queue.T
    same = targets[:, None] == labels[None, :]
    itself = torch.arange(len(queue), device=own.device)[None, :] == own[:, None]
    return _pair_loss(-gamma * cosine, same & ~itself, gamma * (cosine + margin), ~same)


def _pairs(embedding: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return all cosines (B, B) and the masks of the pairs with one identity and with two."""
    embedding = F.normalize(embedding, dim=1)
    same = targets[:, None] == targets[None, :]
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    return embedding @ embedding.T, same & ~itself, ~same


def _pair_loss(logit_p: Tensor, positive: Tensor, logit_n: Tensor, negative: Tensor) -> Tensor:
    """Return the mean of log(1 + sum exp(logit_p) * sum exp(logit_n)); 0 for an anchor without either kind."""
    sum_p = logit_p.masked_fill(~positive, _NOTHING).logsumexp(dim=1)
    sum_n = logit_n.masked_fill(~negative, _NOTHING).logsumexp(dim=1)
    return F.softplus(sum_p + sum_n).mean()
