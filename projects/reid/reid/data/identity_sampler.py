"""Batches of P identities with K images each (P x K), for losses that compare images within a batch."""

from collections.abc import Sequence

import numpy as np

from steploop.data import StreamSampler, check_multiple


class IdentitySampler(StreamSampler):
    """A stream of groups of K images of one identity; no identity comes twice in a batch.

    An epoch holds one group for each identity, in random order. Where the identities do not fill the last batch, the
    first ones of the epoch come a second time, with other images if they have them: so epochs consist of whole batches,
    and no batch reaches from one into the next.

    A group takes one image from each camera in turn, because matches across cameras are what is tested. It repeats an
    image only when the identity has fewer than K, and then each of them as often as the others, give or take one.

    Args:
        pids: the identity of each image.
        batch_size: P * K over all ranks.
        num_instances: K.
        seed: seed of the orders, >= 0.
        camids: the camera of each image; None treats all as one.

    Raises:
        ValueError: if K does not divide the batch size, or there are fewer than P identities.
    """

    def __init__(
        self,
        pids: Sequence[int],
        *,
        batch_size: int,
        num_instances: int,
        seed: int = 0,
        camids: Sequence[int] | None = None,
    ) -> None:
        super().__init__(len(pids), seed)
        if num_instances < 1:
            raise ValueError(f"expected DATALOADER.NUM_INSTANCE >= 1 image of each identity, got {num_instances}")
        check_multiple(batch_size, num_instances, f"{num_instances} images of each identity (DATALOADER.NUM_INSTANCE)")
        if camids is not None and len(camids) != len(pids):
            raise ValueError(f"expected a camera for each of the {len(pids)} images, got {len(camids)}")
        self.batch_size = batch_size
        self.group_size = num_instances
        _, self._pids, self._counts = np.unique(np.asarray(pids), return_inverse=True, return_counts=True)
        self._camids = np.zeros(self.size, dtype=np.int64) if camids is None else np.asarray(camids)
        self._groups_per_batch = batch_size // num_instances
        if len(self._counts) < self._groups_per_batch:
            raise ValueError(
                f"a batch of {batch_size} (SOLVER.IMS_PER_BATCH) holds {self._groups_per_batch} identities x "
                f"{num_instances} images (DATALOADER.NUM_INSTANCE), but there are only {len(self._counts)} identities "
                f"to train on: lower the batch to at most {len(self._counts) * num_instances}, or raise NUM_INSTANCE"
            )

    @property
    def epoch_length(self) -> int:
        """Number of samples in an epoch: whole batches, enough for a group of each identity."""
        return -(-len(self._counts) // self._groups_per_batch) * self._groups_per_batch * self.group_size

    def draw_order(self, rng: np.random.Generator) -> np.ndarray:
        """Return one epoch: the images of group g are at [g * K, (g + 1) * K)."""
        images = self._images_by_identity(rng)
        identities = rng.permutation(len(self._counts))
        # np.resize goes round: the epoch's first identities fill its last batch, of which they are no part yet.
        groups = np.resize(identities, self.epoch_length // self.group_size)
        first_turn = np.where(np.arange(len(groups)) < len(identities), 0, self.group_size)
        turn = (first_turn[:, None] + np.arange(self.group_size)) % self._counts[groups][:, None]
        starts = np.cumsum(self._counts) - self._counts
        return images[starts[groups][:, None] + turn].reshape(-1)

    def _images_by_identity(self, rng: np.random.Generator) -> np.ndarray:
        """Return all images, identity by identity; within one they go round its cameras."""
        by_camera = np.lexsort((rng.random(self.size), self._camids, self._pids))
        turn = np.empty(self.size, dtype=np.int64)
        turn[by_camera] = _place_in_run(self._pids[by_camera], self._camids[by_camera])
        return np.lexsort((rng.random(self.size), turn, self._pids))


def _place_in_run(*keys: np.ndarray) -> np.ndarray:
    """Return how many equal entries stand directly before each one; the keys are sorted together."""
    places = np.arange(len(keys[0]))
    is_first = np.ones(len(places), dtype=bool)
    is_first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return places - np.maximum.accumulate(np.where(is_first, places, 0))
