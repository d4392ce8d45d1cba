import functools

import pytest
import torch

import tiny_project  # noqa: F401  # registers "tiny"
from steploop.config import get_cfg
from steploop.data import (
    DatasetCatalog,
    MappedDataset,
    Prefetcher,
    SharedRecords,
    TrainingSampler,
    TrainLoader,
    add_sampler_config,
    build_train_loader,
    collate,
    train_loader_from_config,
)
from steploop.data import test_loader_from_config as make_test_loader


def cfg(*overrides):
    cfg = get_cfg()
    add_sampler_config(cfg)
    base = [
        "SEED",
        "1",
        "DATASETS.TRAIN",
        "('tiny', 'tiny')",
        "SOLVER.IMS_PER_BATCH",
        "8",
        "DATALOADER.NUM_WORKERS",
        "0",
    ]
    cfg.merge_from_list([*base, *overrides])
    return cfg


def test_several_sets_are_trained_on_together():
    loader = train_loader_from_config(cfg())
    assert (loader.batch_size, loader.epoch_length) == (8, 80)
    assert next(iter(loader))["x"].shape == (8, 3)


def test_the_sampler_is_the_one_that_the_config_names():
    options = ("DATALOADER.SAMPLER_TRAIN", "RandomSubsetTrainingSampler", "DATALOADER.RANDOM_SUBSET_RATIO", "0.1")
    assert train_loader_from_config(cfg(*options)).epoch_length == 8


def test_ranks_share_a_batch():
    whole = next(iter(train_loader_from_config(cfg())))["x"]
    half = next(iter(train_loader_from_config(cfg(), rank=1, world_size=2)))["x"]
    assert half.equal(whole[4:])


def test_the_test_loader_has_each_sample_once():
    assert sum(len(batch["x"]) for batch in make_test_loader(cfg("TEST.IMS_PER_BATCH", "7"), "tiny")) == 40


def test_errors_name_the_key():
    with pytest.raises(ValueError, match="DATASETS.TRAIN is empty"):
        train_loader_from_config(cfg("DATASETS.TRAIN", "()"))
    with pytest.raises(KeyError, match="did you mean 'tiny'"):
        train_loader_from_config(cfg("DATASETS.TRAIN", "('tinny',)"))


def test_batches_go_to_a_gpu_where_the_model_is_there(monkeypatch):
    monkeypatch.setattr("steploop.data.prefetch.resolve_device", torch.device)
    assert isinstance(train_loader_from_config(cfg("MODEL.DEVICE", "cpu")), TrainLoader)
    loader = train_loader_from_config(cfg("MODEL.DEVICE", "cuda"))
    assert isinstance(loader, Prefetcher)
    assert loader.loader._loader.pin_memory
    assert loader.device == torch.device("cuda")


def test_a_test_loader_of_several_sets_has_one_after_the_other():
    loader = make_test_loader(cfg("TEST.IMS_PER_BATCH", "25"), "tiny", "tiny")
    rows = torch.cat([batch["x"] for batch in loader])
    assert len(rows) == 80 and rows[:40].equal(rows[40:])


def with_boxes(item, rng):
    return {"boxes": torch.zeros(item["count"], 4), "flip": rng.random()}


def test_a_project_gives_its_mapper_and_its_collate_fn():
    records = [{"count": n} for n in range(8)]
    ragged = functools.partial(collate, ragged=("boxes",))
    DatasetCatalog.register("counted", lambda: records)
    try:
        options = cfg("DATASETS.TRAIN", "('counted',)")
        loader = train_loader_from_config(options, mapper=with_boxes, collate_fn=ragged)
        assert isinstance(loader.dataset.items, SharedRecords)
        batch = next(iter(loader))
        assert sorted(len(boxes) for boxes in batch["boxes"]) == list(range(8))
        same = build_train_loader(options, records, TrainingSampler(8, seed=1), mapper=with_boxes, collate_fn=ragged)
        assert next(iter(same))["flip"].equal(batch["flip"])
        assert same.items_at(0) == loader.items_at(0)
        tested = make_test_loader(options, "counted", mapper=with_boxes, collate_fn=ragged)
        assert [len(boxes) for batch in tested for boxes in batch["boxes"]] == list(range(8))
    finally:
        DatasetCatalog.remove("counted")


def test_a_mapper_is_given_once():
    sampler = TrainingSampler(8, seed=1)
    with pytest.raises(TypeError, match="a MappedDataset, or items and a mapper; got list and None"):
        build_train_loader(cfg(), [1], sampler)
    with pytest.raises(TypeError, match="got MappedDataset and <function with_boxes"):
        build_train_loader(cfg(), MappedDataset([1], with_boxes), sampler, mapper=with_boxes)
