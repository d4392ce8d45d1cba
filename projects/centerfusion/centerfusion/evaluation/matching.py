"""Gives predictions to true boxes: the best prediction first, each the nearest truth that is free."""

from dataclasses import dataclass

import numpy as np

from .world_boxes import WorldBoxes


@dataclass(frozen=True)
class Pairs:
    """Predictions and truths of one class in one sample that are near to each other, in the order of matching.

    Predictions of different samples do not compete: one round takes the next prediction of every sample at once.

    Attributes:
        prediction: (m,) rank of the prediction, 0 for the best of all samples.
        truth: (m,) index of the true box.
        distance: (m,) between their centres in the ground plane, metres.
        round: (m,) position of the prediction among those of its sample that have a pair.
    """

    prediction: np.ndarray
    truth: np.ndarray
    distance: np.ndarray
    round: np.ndarray


def find_pairs(predicted: WorldBoxes, true: WorldBoxes, max_distance: float) -> Pairs:
    """Return all pairs nearer than `max_distance`.

    Args:
        predicted: of one class, best first.
        true: of the same class.
        max_distance: in metres.
    """
    order = np.argsort(true.sample, kind="stable")
    first = np.searchsorted(true.sample[order], predicted.sample, "left")
    counts = np.searchsorted(true.sample[order], predicted.sample, "right") - first
    prediction = np.repeat(np.arange(len(predicted)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    truth = order[place]
    offset = predicted.translation[prediction, :2] - true.translation[truth, :2]
    distance = np.sqrt((offset**2).sum(axis=1))
    near = distance < max_distance
    prediction, truth, distance = prediction[near], truth[near], distance[near]
    in_order = np.lexsort((truth, distance, prediction))
    prediction, truth, distance = prediction[in_order], truth[in_order], distance[in_order]
    rounds = _rounds(prediction, predicted.sample)
    by_round = np.argsort(rounds, kind="stable")
    return Pairs(prediction[by_round], truth[by_round], distance[by_round], rounds[by_round])


def _rounds(prediction: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return for each pair how many predictions of its sample, with a pair, are better than its own."""
    if not len(prediction):
        return prediction
    unique, inverse = np.unique(prediction, return_inverse=True)
    by_sample = np.argsort(sample[unique], kind="stable")
    sorted_samples = sample[unique][by_sample]
    position = np.arange(len(unique)) - np.searchsorted(sorted_samples, sorted_samples)
    rank = np.empty(len(unique), np.int64)
    rank[by_sample] = position
    return rank[inverse]


def match(pairs: Pairs, num_predictions: int, num_truths: int, threshold: float) -> np.ndarray:
    """Return for each prediction, best first, the index of the true box that it hits, or -1.

    A prediction takes the nearest truth that no better one has taken, and hits it if it is nearer than `threshold`.
    """
    near = pairs.distance < threshold
    prediction, truth, rounds = pairs.prediction[near], pairs.truth[near], pairs.round[near]
    hits = np.full(num_predictions, -1, np.int64)
    is_taken = np.zeros(num_truths, bool)
    if not len(rounds):
        return hits
    bounds = np.flatnonzero(np.diff(rounds, prepend=-1, append=rounds[-1] + 1))
    for start, end in zip(bounds[:-1], bounds[1:]):
        free = np.flatnonzero(~is_taken[truth[start:end]]) + start
        of = prediction[free]
        # Pairs of a prediction are adjacent and the nearest is first; all of this round are of different samples.
        free = free[np.flatnonzero(np.diff(of, prepend=-1))]
        hits[prediction[free]] = truth[free]
        is_taken[truth[free]] = True
    return hits
