import functools
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from market_folder import SIZE, write_market
from steploop.config import get_cfg
from steploop.data import (
    SAMPLER_REGISTRY,
    Compose,
    ImageCache,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    Resize,
    SampleError,
    ToTensor,
    sample_rng,
)
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.data import (
    ReidDataset,
    ReidItem,
    ReidMapper,
    build_reid_test_loader,
    build_reid_train_loader,
    build_test_transforms,
    build_train_transforms,
    get_dataset,
    read_market1501,
)
from steploop.projects.reid.data.build import build_train_mapper
from steploop.projects.reid.data.dataset import turn_identities


def make_cfg(**overrides):
    cfg = get_cfg()
    add_reid_config(cfg)
    values = {
        "INPUT.SIZE_TRAIN": [24, 12],
        "INPUT.SIZE_TEST": [20, 10],
        "INPUT.PADDING.SIZE": 2,
        "SOLVER.IMS_PER_BATCH": 8,
        "DATALOADER.NUM_INSTANCE": 2,
        "DATALOADER.NUM_WORKERS": 0,
        "TEST.IMS_PER_BATCH": 3,
        **{key.replace("__", "."): value for key, value in overrides.items()},
    }
    cfg.merge_from_list([part for pair in values.items() for part in pair])
    return cfg


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = write_market(tmp_path_factory.mktemp("market"), num_train=5, num_test=4, num_cams=2, per_camera=2)
    return ReidDataset("market", *read_market1501(root))


def take(loader, count):
    batches = list(islice(iter(loader), count))
    loader.close()
    return batches


def test_a_training_batch_is_as_documented(dataset):
    loader = build_reid_train_loader(make_cfg(), dataset, seed=1)
    (batch,) = take(loader, 1)
    assert list(batch) == ["images", "targets", "camids", "img_paths"]
    assert (batch["images"].shape, batch["images"].dtype) == ((8, 3, 24, 12), torch.uint8)
    assert batch["targets"].dtype == batch["camids"].dtype == torch.int64
    items = {item.img_path: item for item in dataset.train}
    labels = [(items[path].pid, items[path].camid) for path in batch["img_paths"]]
    assert labels == list(zip(batch["targets"].tolist(), batch["camids"].tolist()))
    assert [list(batch["targets"]).count(pid) for pid in batch["targets"]] == [2] * 8
    assert (loader.batch_size, loader.epoch_length) == (8, 16)  # five identities make two batches of four


def test_workers_ranks_and_restarts_change_no_pixel(dataset):
    cfg = make_cfg(INPUT__AFFINE__ENABLED=True)
    expected = take(build_reid_train_loader(cfg, dataset, seed=1), 5)
    assert not torch.equal(expected[0]["images"], take(build_reid_train_loader(cfg, dataset, seed=2), 1)[0]["images"])

    cfg.DATALOADER.NUM_WORKERS = 2
    with_workers = take(build_reid_train_loader(cfg, dataset, seed=1), 5)
    cfg.DATALOADER.NUM_WORKERS = 0
    loader = build_reid_train_loader(cfg, dataset, seed=1)
    loader.seek(3)
    later = take(loader, 2)
    ranks = [take(build_reid_train_loader(cfg, dataset, seed=1, rank=rank, world_size=2), 5) for rank in (0, 1)]
    together = [{key: torch.cat([a[key], b[key]]) for key in ("images", "targets")} for a, b in zip(*ranks)]
    for found, start in ((with_workers, 0), (later, 3), (together, 0)):
        for batch, other in zip(found, expected[start:], strict=True):
            assert torch.equal(batch["images"], other["images"])
            assert torch.equal(batch["targets"], other["targets"])


def test_micro_batches_are_pieces_of_a_batch(dataset):
    whole = take(build_reid_train_loader(make_cfg(), dataset, seed=1), 2)
    halves = take(build_reid_train_loader(make_cfg(SOLVER__ACCUMULATE=2), dataset, seed=1), 4)
    assert [len(half["targets"]) for half in halves] == [4] * 4
    assert torch.equal(torch.cat([half["images"] for half in halves]), torch.cat([batch["images"] for batch in whole]))


def test_every_image_comes_once_without_identities(dataset):
    cfg = make_cfg(DATALOADER__SAMPLER_TRAIN="TrainingSampler", SOLVER__IMS_PER_BATCH=5)
    paths = [path for batch in take(build_reid_train_loader(cfg, dataset, seed=0), 4) for path in batch["img_paths"]]
    assert sorted(paths) == sorted(item.img_path for item in dataset.train)


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("SOLVER.IMS_PER_BATCH", 12, ValueError, "only 5 identities to train on: lower the batch to at most 10"),
        ("SOLVER.IMS_PER_BATCH", 7, ValueError, "nearest valid size is 6 or 8"),
        ("SOLVER.ACCUMULATE", 3, ValueError, "3 micro-batches x groups of 2"),
        ("DATALOADER.SAMPLER_TRAIN", "IdentitySampling", KeyError, "IdentitySampler"),
    ],
)
def test_a_batch_that_cannot_be_made_is_an_error_at_once(dataset, key, value, error, message):
    with pytest.raises(error, match=message):
        build_reid_train_loader(make_cfg(**{key: value}), dataset, seed=0)


def test_empty_subsets_are_errors(dataset):
    with pytest.raises(ValueError, match="'x' has no train images"):
        build_reid_train_loader(make_cfg(), ReidDataset("x", [], dataset.query, dataset.gallery), seed=0)
    with pytest.raises(ValueError, match="'x' has no query images"):
        build_reid_test_loader(make_cfg(), ReidDataset("x", [], [], dataset.gallery))
    with pytest.raises(ValueError, match="'x' has no gallery images"):
        build_reid_test_loader(make_cfg(), ReidDataset("x", [], dataset.query, []))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_ranks_share_the_test_images(dataset, world_size, num_workers):
    cfg = make_cfg(DATALOADER__NUM_WORKERS=num_workers)
    items = [*dataset.query, *dataset.gallery]
    seen = []
    for rank in range(world_size):
        loader, num_query = build_reid_test_loader(cfg, dataset, rank=rank, world_size=world_size)
        assert num_query == len(dataset.query) == 8
        for batch in loader:
            assert (batch["images"].shape[1:], batch["images"].dtype) == ((3, 20, 10), torch.uint8)
            assert batch["indices"].dtype == torch.int64
            rows = zip(batch["img_paths"], batch["targets"].tolist(), batch["camids"].tolist())
            assert list(rows) == [items[index][:3] for index in batch["indices"]]
            seen += batch["indices"].tolist()
    assert sorted(seen) == list(range(len(items)))


def test_a_broken_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    root = write_market(tmp_path / "market", num_train=4)
    paths = sorted((root / "bounding_box_train").iterdir())
    for path in paths:
        path.write_bytes(path.read_bytes()[:150])
    (root / "query" / "0005_c1s1_000099_00.jpg").write_bytes(b"")
    for num_workers in (0, 1):
        loader = build_reid_train_loader(make_cfg(DATALOADER__NUM_WORKERS=num_workers), get_dataset("market"), seed=0)
        with pytest.raises(SampleError, match=r"0\d*_c\ds1_\d*_00\.png cannot be read: .*delete it, or copy it again"):
            next(iter(loader))
    with pytest.raises(SampleError, match=r"0005_c1s1_000099_00\.jpg is empty \(0 bytes\): delete it, or copy it"):
        list(build_reid_test_loader(make_cfg(), get_dataset("market"))[0])


def names(transforms):
    return [type(transform).__name__ for transform in transforms.transforms]


def test_transforms_follow_the_config():
    assert names(build_test_transforms(make_cfg())) == ["ResizeToTensor"]
    everything = ["RandomFlip", "Pad", "RandomCrop", "RandomAffine", "RandomErasing"]
    assert names(build_train_transforms(make_cfg(INPUT__AFFINE__ENABLED=True))) == everything
    off = {f"INPUT__{name}__ENABLED": False for name in ("FLIP", "PADDING", "REA")}
    assert names(build_train_transforms(make_cfg(**off))) == []


@pytest.mark.parametrize("size", [(24, 12), (32, 16)])
def test_a_training_image_is_what_pillow_makes_of_it(dataset, size):
    cfg = make_cfg(INPUT__SIZE_TRAIN=size, INPUT__AFFINE__ENABLED=True)
    item, mapper = dataset.train[0], build_train_mapper(cfg, dataset.train)
    steps = [Resize(size), RandomFlip(), Pad(2), RandomCrop(size), RandomAffine(10, 0.05, (0.9, 1.1), 5), ToTensor()]
    one_by_one = Compose([*steps, RandomErasing(value=cfg.MODEL.PIXEL_MEAN)])
    for position in range(10):
        expected = one_by_one(Image.open(item.img_path), sample_rng(0, position))
        assert torch.equal(mapper(item, sample_rng(0, position))["images"], expected)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kept", [3, 40])
def test_a_cache_changes_no_pixel(dataset, monkeypatch, num_workers, kept):
    turned = turn_identities(dataset, 2)
    expected = take(build_reid_train_loader(make_cfg(), turned, seed=1), 12)
    # Whole mebibytes hold all of these tiny images.
    monkeypatch.setattr(ImageCache, "__init__", functools.partialmethod(bounded, kept, ImageCache.__init__))
    loader = build_reid_train_loader(make_cfg(DATALOADER__CACHE=1, DATALOADER__NUM_WORKERS=num_workers), turned, seed=1)
    assert loader.dataset.mapper.cache.capacity == kept
    loader.seek(2)
    found = take(loader, 10)
    loader.seek(7)
    for batch, other in zip([*found, *take(loader, 5)], [*expected[2:], *expected[7:]], strict=True):
        assert torch.equal(batch["images"], other["images"])
        assert batch["img_paths"] == other["img_paths"]


def bounded(self, kept, initialise, keys, shape, mebibytes):
    initialise(self, keys, shape, kept * (8 + 3 * 24 * 12) / 2**20)


def test_an_image_in_the_cache_is_not_read_again(tmp_path):
    root = write_market(tmp_path / "market", num_train=4)
    dataset = ReidDataset("market", *read_market1501(root))
    loader = build_reid_train_loader(make_cfg(DATALOADER__CACHE=1), dataset, seed=0)
    expected = take(loader, 4)  # of four identities each, two images at a time: every image
    for item in dataset.train:
        Path(item.img_path).unlink()
    again = take(loader, 4)
    assert all(torch.equal(batch["images"], other["images"]) for batch, other in zip(again, expected))


def test_a_cache_too_small_for_an_image_is_an_error(dataset):
    with pytest.raises(ValueError, match=r"1 MiB does not hold one image of \(3, 2000, 1000\).*raise DATALOADER.CACHE"):
        build_reid_train_loader(make_cfg(DATALOADER__CACHE=1, INPUT__SIZE_TRAIN=[2000, 1000]), dataset, seed=0)


def test_no_cache_is_made_unless_asked_for(dataset):
    assert build_reid_train_loader(make_cfg(), dataset, seed=0).dataset.mapper.cache is None


def test_without_random_transforms_the_pixels_are_those_of_the_files(dataset):
    off = {f"INPUT__{name}__ENABLED": False for name in ("FLIP", "PADDING", "REA")}
    cfg = make_cfg(INPUT__SIZE_TRAIN=list(SIZE), INPUT__SIZE_TEST=list(SIZE), **off)
    (batch,) = take(build_reid_train_loader(cfg, dataset, seed=0), 1)
    test_batch = next(iter(build_reid_test_loader(cfg, dataset)[0]))
    for path, image in [*zip(batch["img_paths"], batch["images"]), *zip(test_batch["img_paths"], test_batch["images"])]:
        assert (image.permute(1, 2, 0).numpy() == np.asarray(Image.open(path))).all()


def test_turned_images_are_turned(dataset):
    off = {f"INPUT__{name}__ENABLED": False for name in ("FLIP", "PADDING", "REA")}
    cfg = make_cfg(INPUT__SIZE_TRAIN=[8, 8], **off)
    straight, turned = dataset.train[0], dataset.train[0]._replace(turns=1)
    mapper = ReidMapper(ToTensor())
    image, other = (mapper(item, sample_rng(0, 0))["images"] for item in (straight, turned))
    assert torch.equal(torch.rot90(image, 1, (1, 2)), other)
    loader = build_reid_train_loader(cfg, turn_identities(dataset, 4), seed=0)
    assert loader.epoch_length == 20 * 2


def test_a_project_registers_its_own_sampler(dataset, monkeypatch):
    monkeypatch.setattr(SAMPLER_REGISTRY, "_obj_map", dict(SAMPLER_REGISTRY._obj_map))
    ordered = SAMPLER_REGISTRY.get("TrainingSampler")

    @SAMPLER_REGISTRY.register()
    def first_only(cfg, items, seed):
        return ordered(cfg, items[:1], seed)

    (batch,) = take(build_reid_train_loader(make_cfg(DATALOADER__SAMPLER_TRAIN="first_only"), dataset, seed=0), 1)
    assert set(batch["img_paths"]) == {dataset.train[0].img_path}


@pytest.mark.parametrize("name", ["IdentitySampler", "RepeatFactorTrainingSampler"])
def test_batches_of_like_proportions(tmp_path, name):
    items = [ReidItem(str(tmp_path / f"{n}.png"), n // 4, n % 2, turns=n // 8 % 2) for n in range(32)]
    for n, item in enumerate(items):
        Image.new("RGB", (8, 20) if n // 8 % 2 == n // 4 % 2 else (20, 8)).save(item.img_path)
    cfg = make_cfg(DATALOADER__SAMPLER_TRAIN=name, DATALOADER__ASPECT_RATIO_GROUPING=True, SOLVER__IMS_PER_BATCH=8)
    loader = build_reid_train_loader(cfg, ReidDataset("wide and upright", items, [], []), seed=0)
    for step in range(8):
        # Upright: identities of an even number, also where a turn makes a wide image upright.
        assert len({item.pid % 2 for item in loader.items_at(step)}) == 1
