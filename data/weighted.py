"""Samplers that use a subset of the items, or some items more often than others."""

from collections.abc import Sequence

import numpy as np

from .stream import StreamSampler, run_rng


class WeightedTrainingSampler(StreamSampler):
    """Items drawn independently, with replacement, each with a probability proportional to its weight.

    An epoch has as many draws as there are items, whatever the weights.

    Args:
        weights: of each item, >= 0; they need not sum to 1. An item of weight 0 never comes.
        seed: seed of the draws, >= 0.

    Raises:
        ValueError: there is no weight above 0, or one is negative or not finite.
    """

    def __init__(self, weights: Sequence[float] | np.ndarray, *, seed: int = 0) -> None:
        weights = np.asarray(weights, dtype=np.float64)
        super().__init__(len(weights), seed)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError("expected finite weights >= 0, at least one of them above 0")
        shares = weights / weights.max()  # so that their sum does not overflow
        self._probabilities = shares / shares.sum()

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return as many independent draws as there are items."""
        return rng.choice(self.size, self.size, p=self._probabilities)


class RandomSubsetTrainingSampler(StreamSampler):
    """A random part of the items, drawn once; each of them once in an epoch, in a new random order each time.

    Args:
        size: number of items.
        subset_ratio: the share of them that is used, in (0, 1]; at least one item is.
        shuffle: False keeps the order of the data set.
        seed: seed of the orders, >= 0.
        seed_subset: seed of the choice, >= 0; None takes `seed`. Runs with the same one train on the same items.

    Raises:
        ValueError: the ratio is no share.
    """

    def __init__(
        self, size: int, subset_ratio: float, *, shuffle: bool = True, seed: int = 0, seed_subset: int | None = None
    ) -> None:
        super().__init__(size, seed)
        self.shuffle = shuffle
        self.indices = draw_subset(size, subset_ratio, seed if seed_subset is None else seed_subset)

    @property
    def epoch_length(self) -> int:
        """Number of items of the subset."""
        return len(self.indices)

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return a permutation of the subset."""
        return rng.permutation(self.indices) if self.shuffle else self.indices.copy()


def draw_subset(size: int, ratio: float, seed: int) -> np.ndarray:
    """Return the sorted indices of a random part of `size` >= 1 items, at least one; the same for the same seed.

    Raises:
        ValueError: `ratio` is not in (0, 1].
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"expected a share of the items in (0, 1], got {ratio} (DATALOADER.RANDOM_SUBSET_RATIO)")
    return np.sort(run_rng(seed).permutation(size)[: max(1, round(ratio * size))])
