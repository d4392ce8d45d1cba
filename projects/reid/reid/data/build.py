"""Loaders, samplers and transforms of re-ID from the config."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from steploop import data
from steploop.config import CfgNode

from .dataset import ReidDataset
from .identity_draws import (
    BalancedIdentitySampler,
    ImbalancedDatasetSampler,
    NaiveIdentitySampler,
    WholeBatchSampler,
)
from .identity_sampler import IdentitySampler
from .items import ReidItem
from .transforms.build import build_before_resize, build_resize, build_test_transforms, build_train_transforms


@data.SAMPLER_REGISTRY.register(name="IdentitySampler")
def build_identity_sampler(cfg: CfgNode, items: Sequence[ReidItem], seed: int) -> data.StreamSampler:
    """Return the stream of P x K batches, with SOLVER.IMS_PER_BATCH and DATALOADER.NUM_INSTANCE."""
    return IdentitySampler(
        [item.pid for item in items],
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        num_instances=cfg.DATALOADER.NUM_INSTANCE,
        seed=seed,
        camids=[item.camid for item in items],
    )


@data.SAMPLER_REGISTRY.register(name="WholeBatchSampler")
def build_whole_batch_sampler(cfg: CfgNode, items: Sequence[ReidItem], seed: int) -> data.StreamSampler:
    """Return the stream that has each image at most once in an epoch of whole batches."""
    return WholeBatchSampler(len(items), batch_size=cfg.SOLVER.IMS_PER_BATCH, seed=seed)


@data.SAMPLER_REGISTRY.register(name="ImbalancedDatasetSampler")
def build_imbalanced_sampler(cfg: CfgNode, items: Sequence[ReidItem], seed: int) -> data.StreamSampler:
    """Return the stream in which each identity is as likely as another."""
    return ImbalancedDatasetSampler([item.pid for item in items], batch_size=cfg.SOLVER.IMS_PER_BATCH, seed=seed)


@data.SAMPLER_REGISTRY.register(name="NaiveIdentitySampler")
def build_naive_identity_sampler(cfg: CfgNode, items: Sequence[ReidItem], seed: int) -> data.StreamSampler:
    """Return fast-reid's stream of P x K batches, with SOLVER.IMS_PER_BATCH and DATALOADER.NUM_INSTANCE."""
    return NaiveIdentitySampler(
        [item.pid for item in items],
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        num_instances=cfg.DATALOADER.NUM_INSTANCE,
        seed=seed,
    )


@data.SAMPLER_REGISTRY.register(name="BalancedIdentitySampler")
def build_balanced_identity_sampler(cfg: CfgNode, items: Sequence[ReidItem], seed: int) -> data.StreamSampler:
    """Return fast-reid's stream of P x K batches whose images of an identity come from several cameras."""
    return BalancedIdentitySampler(
        [item.pid for item in items],
        batch_size=cfg.SOLVER.IMS_PER_BATCH,
        num_instances=cfg.DATALOADER.NUM_INSTANCE,
        camids=[item.camid for item in items],
        seed=seed,
    )


class ReidMapper:
    """Reads an item's image and transforms it.

    Args:
        transform: makes a uint8 tensor (3, H, W) of what `prepare` returns.
        prepare: what is done to an image before anything random; None does nothing.
        cache: keeps what `prepare` makes, by `image_key`; None keeps nothing.
    """

    def __init__(
        self,
        transform: data.Transform,
        *,
        prepare: Callable[..., Any] | None = None,
        cache: data.ImageCache | None = None,
    ) -> None:
        self.transform = transform
        self.prepare = prepare
        self.cache = cache

    def __call__(self, item: ReidItem, rng: np.random.Generator) -> dict[str, Any]:
        """Return the sample: "images" uint8 (3, H, W), "targets" and "camids" int, "img_paths" str."""
        return self.map_together([item], [rng])[0]

    def map_together(self, items: Sequence[ReidItem], rngs: Sequence[np.random.Generator]) -> list[dict[str, Any]]:
        """Return a sample of each item."""
        images = [self.transform(image, rng) for image, rng in zip(self._images(items), rngs)]
        return [
            {"images": image, "targets": item.pid, "camids": item.camid, "img_paths": item.img_path}
            for item, image in zip(items, images)
        ]

    def _images(self, items: Sequence[ReidItem]) -> list[Any]:
        """Return what is made of the items before anything random."""
        if self.cache is not None:
            return [self.cache.get(image_key(item), functools.partial(self._prepared, item)) for item in items]
        images = [_read(item) for item in items]
        return images if self.prepare is None else [self.prepare(image) for image in images]

    def _prepared(self, item: ReidItem) -> Any:
        image = _read(item)
        return image if self.prepare is None else self.prepare(image)


def _read(item: ReidItem) -> Image.Image:
    image = data.read_image(item.img_path)
    return image.rotate(90 * item.turns, expand=True) if item.turns else image  # exact for quarter turns


def image_key(item: ReidItem) -> tuple[str, int]:
    """Return what the pixels of an item depend on."""
    return item.img_path, item.turns


class IndexedMapper:
    """Maps (index, item) as another mapper maps the item, and adds "indices": the place of a sample in its set."""

    def __init__(self, mapper: ReidMapper) -> None:
        self.mapper = mapper

    def __call__(self, indexed: tuple[int, ReidItem], rng: np.random.Generator) -> dict[str, Any]:
        """Return the sample with its index, an int."""
        index, item = indexed
        return {**self.mapper(item, rng), "indices": index}


def build_train_mapper(cfg: CfgNode, items: Sequence[ReidItem]) -> ReidMapper:
    """Return what makes training samples, with a cache of `items` if DATALOADER.CACHE asks for one.

    Raises:
        ValueError: DATALOADER.CACHE does not hold one image, or does not go with INPUT.AUTOAUG or CROP, which need
            images in their own size.
        RuntimeError: the machine has too little shared memory.
    """
    resize, mebibytes = build_resize(cfg), cfg.DATALOADER.CACHE

    plain = build_test_transforms(cfg.changed(**{"INPUT.SIZE_TEST": cfg.INPUT.SIZE_TRAIN}))

    def read(index: int) -> torch.Tensor:
        image: torch.Tensor = plain(_read(items[index]), data.sample_rng(0, 0))  # nothing in it is random
        return image

    random = build_train_transforms(cfg, len(items), read)
    if not (cfg.INPUT.AUTOAUG.ENABLED or cfg.INPUT.CROP.ENABLED):
        shape = (3, *cfg.INPUT.SIZE_TRAIN)
        cache = data.ImageCache(map(image_key, items), shape, mebibytes) if mebibytes else None
        return ReidMapper(random, prepare=resize.transforms[0], cache=cache)
    if mebibytes:
        raise ValueError(
            "DATALOADER.CACHE keeps images of one size: set it to 0 with INPUT.AUTOAUG.ENABLED or INPUT.CROP.ENABLED"
        )
    return ReidMapper(data.Compose([build_before_resize(cfg), resize, random]))


def build_reid_train_loader(
    cfg: CfgNode, dataset: ReidDataset, *, seed: int, rank: int = 0, world_size: int = 1
) -> data.TrainLoader | data.Prefetcher:
    """Return the infinite loader of `dataset.train`.

    A batch is {"images": uint8 (B, 3, H, W), "targets": int64 (B,), "camids": int64 (B,), "img_paths": list[str]}, with
    B = SOLVER.IMS_PER_BATCH / world_size / SOLVER.ACCUMULATE. Where MODEL.DEVICE is a GPU, its tensors are there.

    Args:
        cfg: the config.
        dataset: one data set, or several merged by `get_train_dataset`.
        seed: the run's seed, >= 0; order and pixels follow from it.
        rank: this process.
        world_size: number of processes.

    Raises:
        ValueError: if there is nothing to train on, or the batch cannot be filled or split as configured.
        KeyError: if DATALOADER.SAMPLER_TRAIN is not registered.
    """
    dataset.require("train")
    items = dataset.train
    sampler = data.build_train_sampler(cfg, items, seed, sizes=functools.partial(_sizes, items))
    mapped = data.MappedDataset(data.SharedRecords(items), build_train_mapper(cfg, items), seed)
    return data.build_train_loader(cfg, mapped, sampler, rank=rank, world_size=world_size)


def _sizes(items: Sequence[ReidItem]) -> list[tuple[int, int]]:
    """Return the (width, height) of each image as it is trained on."""
    sizes = [data.image_size(item.img_path) for item in items]
    return [size[::-1] if item.turns % 2 else size for item, size in zip(items, sizes)]


def build_reid_test_loader(
    cfg: CfgNode, dataset: ReidDataset, *, rank: int = 0, world_size: int = 1
) -> tuple[DataLoader[Any], int]:
    """Return this rank's loader of all queries, then all gallery images, and the number of queries over all ranks.

    Batches are those of the training loader, of TEST.IMS_PER_BATCH images, with "indices": int64 (B,), the place in
    queries + gallery; batch j goes to rank j % world_size.

    Raises:
        ValueError: if there are no queries or no gallery images.
    """
    dataset.require("query", "gallery")
    loader = data.build_test_loader(
        data.MappedDataset(
            data.SharedRecords(enumerate([*dataset.query, *dataset.gallery])),
            IndexedMapper(ReidMapper(build_test_transforms(cfg))),
        ),
        cfg.TEST.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        pin_memory=data.is_on_gpu(cfg),
    )
    return loader, len(dataset.query)
