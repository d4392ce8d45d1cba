"""Figures of classification, computed as MMAction2 computes them. Shares are fractions, not percent."""

from collections.abc import Sequence

import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, topk: Sequence[int] = (1, 5)) -> list[float]:
    """Return, for each k, the share of samples whose label is among the k largest scores.

    Args:
        scores: (N, C).
        labels: (N,), 0 <= label < C.
        topk: each is cut to C.
    """
    order = np.argsort(scores, axis=1)[:, ::-1]
    hits = order == np.asarray(labels)[:, None]
    return [float(hits[:, : min(k, scores.shape[1])].any(axis=1).mean()) for k in topk]


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, normalize: str | None = None) -> np.ndarray:
    """Return counts, rows labels and columns predictions, over the classes that occur in either, ascending.

    Args:
        predicted: (N,).
        labels: (N,).
        normalize: None: int64 counts; "true" divides by the row's sum, "pred" by the column's, "all" by N; 0 / 0 is 0.

    Raises:
        ValueError: `normalize` is something else.
    """
    if normalize not in (None, "true", "pred", "all"):
        raise ValueError(f"normalize is None, 'true', 'pred' or 'all'; came {normalize!r}")
    classes = np.unique(np.concatenate((predicted, labels)))
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (np.searchsorted(classes, labels), np.searchsorted(classes, predicted)), 1)
    if normalize is None:
        return counts
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    sums = counts.sum(axis=axis, keepdims=True)
    return np.divide(counts, sums, out=np.zeros(counts.shape), where=sums != 0)


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the share of their samples that are recognised.

    Classes that occur neither as label nor as prediction do not count; one that is only predicted counts 0.
    """
    return float(np.diagonal(confusion_matrix(scores.argmax(axis=1), labels, "true")).mean())


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the sum of precision times step of recall over the scores, descending; equal scores are one step.

    Args:
        scores: (N,).
        truth: (N,), 1 for positives; NaN is returned if there is none.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order] > 0)
    if not hits[-1]:
        return float("nan")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision = hits[ends] / (ends + 1)
    recall = hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over classes of the average precision; classes without a positive are left out.

    Args:
        scores: (N, C).
        truth: (N, C), 0 or 1.
    """
    return float(np.nanmean([average_precision(scores[:, c], truth[:, c]) for c in range(scores.shape[1])]))


def mmit_mean_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over samples of the average precision over their classes (Multi-Moments in Time)."""
    return mean_average_precision(scores.T, truth.T)


def average_views(logits: np.ndarray, how: str | None) -> np.ndarray:
    """Return one row of scores for each video.

    Args:
        logits: (N, views, C).
        how: "prob": mean of softmax; "score": mean of logits; None: every view is a row, (N * views, C).

    Raises:
        ValueError: `how` is something else.
    """
    if how not in (None, "prob", "score"):
        raise ValueError(f"average_clips is 'prob', 'score' or None; came {how!r}")
    if how is None:
        return logits.reshape(-1, logits.shape[-1])
    if how == "prob":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        logits = powers / powers.sum(axis=-1, keepdims=True)
    return logits.mean(axis=1)
