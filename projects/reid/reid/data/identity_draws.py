"""fast-reid's samplers, as functions of (seed, position)."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from steploop.data import StreamSampler, check_multiple


class _WholeBatches(StreamSampler):
    """An epoch is as many whole batches as the images fill: number of images // batch size.

    Args:
        size: number of images.
        batch_size: over all ranks.
        seed: of the orders, >= 0.

    Raises:
        ValueError: there are fewer images than a batch has.
    """

    def __init__(self, size: int, *, batch_size: int, seed: int = 0) -> None:
        super().__init__(size, seed)
        if batch_size > size:
            raise ValueError(f"a batch of {batch_size} images (SOLVER.IMS_PER_BATCH) needs as many, got {size}")
        self.batch_size = batch_size

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch: whole batches."""
        batch = self.batch_size or 1
        return self.size // batch * batch


class WholeBatchSampler(_WholeBatches):
    """Each image at most once in an epoch, in random order; the last, incomplete batch is dropped."""

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch."""
        return rng.permutation(self.size)[: self.epoch_length]


class ImbalancedDatasetSampler(_WholeBatches):
    """Images drawn with replacement such that each identity is as likely as another.

    Args:
        pids: the identity of each image.
        batch_size: over all ranks.
        seed: of the orders, >= 0.
    """

    def __init__(self, pids: Sequence[int], *, batch_size: int, seed: int = 0) -> None:
        super().__init__(len(pids), batch_size=batch_size, seed=seed)
        _, place, counts = np.unique(np.asarray(pids), return_inverse=True, return_counts=True)
        weights = 1.0 / counts[place]
        self._weights = weights / weights.sum()

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch."""
        return rng.choice(self.size, size=self.epoch_length, p=self._weights)


class _IdentityBatches(_WholeBatches):
    """Batches of P identities with K images each.

    Args:
        pids: the identity of each image.
        batch_size: P * K over all ranks.
        num_instances: K.
        camids: the camera of each image.
        seed: of the orders, >= 0.

    Raises:
        ValueError: K does not divide the batch size, or there are fewer than P identities.
    """

    def __init__(
        self, pids: Sequence[int], *, batch_size: int, num_instances: int, camids: Sequence[int] = (), seed: int = 0
    ) -> None:
        super().__init__(len(pids), batch_size=batch_size, seed=seed)
        check_multiple(batch_size, num_instances, f"{num_instances} images of each identity (DATALOADER.NUM_INSTANCE)")
        self.group_size = num_instances
        self._camids = np.asarray(camids if len(camids) else np.zeros(len(pids), dtype=np.int64))
        images = defaultdict(list)
        for index, pid in enumerate(pids):
            images[pid].append(index)
        self._images = [np.array(images[pid]) for pid in sorted(images)]
        self._num_pids = batch_size // num_instances
        if len(self._images) < self._num_pids:
            raise ValueError(
                f"a batch of {batch_size} (SOLVER.IMS_PER_BATCH) holds {self._num_pids} identities x {num_instances} "
                f"images (DATALOADER.NUM_INSTANCE), but there are only {len(self._images)} identities to train on: "
                f"lower the batch to at most {len(self._images) * num_instances}, or raise NUM_INSTANCE"
            )

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: passes over the images one after another, cut at its end."""
        drawn: list[np.ndarray] = []
        length = 0
        while length < self.epoch_length:
            part = self._draw_pass(rng)
            drawn.append(part)
            length += len(part)
        return np.concatenate(drawn)[: self.epoch_length]

    def _draw_pass(self, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError


class NaiveIdentitySampler(_IdentityBatches):
    """P identities with K unused images each, as long as there are P; then all images are unused again.

    An identity with fewer than K images in all gets K with replacement.
    """

    def _draw_pass(self, rng: np.random.Generator) -> np.ndarray:
        k = self.group_size
        unused = [
            rng.permutation(images) if len(images) >= k else rng.choice(images, size=k) for images in self._images
        ]
        groups = [len(images) // k for images in unused]
        left = np.arange(len(groups))
        taken = np.zeros(len(groups), dtype=np.int64)
        batches = []
        while len(left) >= self._num_pids:
            for identity in rng.choice(left, size=self._num_pids, replace=False):
                batches.append(unused[identity][taken[identity] * k : (taken[identity] + 1) * k])
                taken[identity] += 1
            left = left[taken[left] < np.array(groups)[left]]
        return np.concatenate(batches)


class BalancedIdentitySampler(_IdentityBatches):
    """Each identity once in a pass, in random order; a random image, and K - 1 of the same identity by other cameras.

    Where no other camera has seen it, other images of its own camera; with replacement where there are fewer than
    K - 1 of them; an identity with one image repeats it.
    """

    def _draw_pass(self, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(self._images))
        whole = len(order) // self._num_pids * self._num_pids
        return np.concatenate([self._draw_group(self._images[identity], rng) for identity in order[:whole]])

    def _draw_group(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        first = rng.choice(images)
        others = images[self._camids[images] != self._camids[first]]
        if not len(others):
            others = images[images != first]
        if not len(others):
            return np.repeat(first, self.group_size)
        count = self.group_size - 1
        return np.concatenate(([first], rng.choice(others, size=count, replace=len(others) < count)))
