from typing import NamedTuple

import pytest
import torch

from steploop.config import get_cfg
from steploop.data import (
    GroupSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    WeightedTrainingSampler,
    add_sampler_config,
    build_train_sampler,
)

ITEMS = [{"label": torch.tensor(n > 1), "weight": n, "width": 10, "height": 20 * (n % 2) + 1} for n in range(8)]


def build(*overrides, items=ITEMS, **kwargs):
    cfg = get_cfg()
    add_sampler_config(cfg)
    cfg.merge_from_list(["SOLVER.IMS_PER_BATCH", "4", *overrides])
    return build_train_sampler(cfg, items, 1, **kwargs)


def named(name, *overrides, **kwargs):
    return build("DATALOADER.SAMPLER_TRAIN", name, *overrides, **kwargs)


def test_the_default_holds_each_item_once():
    assert sorted(build().order(0).tolist()) == list(range(8))


def test_each_name_with_its_options():
    repeat = named("RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", "1.0")
    assert isinstance(repeat, RepeatFactorTrainingSampler) and repeat.epoch_length == 11  # 2 * 2 + 6 * sqrt(4/3)
    plain = named(
        "RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", "1.0", "DATALOADER.REPEAT_SQRT", "False"
    )
    assert plain.epoch_length == 16
    subset = named("RandomSubsetTrainingSampler", "DATALOADER.RANDOM_SUBSET_RATIO", "0.25")
    assert isinstance(subset, RandomSubsetTrainingSampler) and subset.epoch_length == 2
    weighted = named("WeightedTrainingSampler")
    assert isinstance(weighted, WeightedTrainingSampler) and 0 not in weighted.order(0)


def test_aspect_ratio_grouping():
    sampler = build("DATALOADER.ASPECT_RATIO_GROUPING", "True")
    assert isinstance(sampler, GroupSampler)
    assert {tuple(sorted(batch)) for batch in sampler.order(0).reshape(-1, 4).tolist()} == {(0, 2, 4, 6), (1, 3, 5, 7)}
    same = build("DATALOADER.ASPECT_RATIO_GROUPING", "True", sizes=lambda: [(1, 1)] * 8)
    assert same._members[0].tolist() == list(range(8))


@pytest.mark.parametrize(
    "name",
    ["TrainingSampler", "RepeatFactorTrainingSampler", "WeightedTrainingSampler", "RandomSubsetTrainingSampler"],
)
def test_aspect_ratio_grouping_goes_with_every_sampler(name):
    sampler = named(name, "DATALOADER.ASPECT_RATIO_GROUPING", "True", "DATALOADER.REPEAT_THRESHOLD", "0.5")
    for epoch in range(5):
        assert all(len({index % 2 for index in batch}) == 1 for batch in sampler.order(epoch).reshape(-1, 4).tolist())
    assert sampler.epoch_length >= named(name, "DATALOADER.REPEAT_THRESHOLD", "0.5").epoch_length


def test_fields_have_the_names_that_the_config_gives_and_items_may_be_tuples():
    class Row(NamedTuple):
        pid: int
        w: float

    rows = [Row(n > 1, n) for n in range(8)]
    options = ("DATALOADER.LABEL_FIELD", "pid", "DATALOADER.WEIGHT_FIELD", "w")
    repeat = named("RepeatFactorTrainingSampler", "DATALOADER.REPEAT_THRESHOLD", "1.0", *options, items=rows)
    assert repeat.epoch_length == 11
    assert 0 not in named("WeightedTrainingSampler", *options, items=rows).order(0)
    sizes = [{"size": (n, 1), "w": 10, "h": 20 * (n % 2) + 1} for n in range(8)]
    grouped = build("DATALOADER.ASPECT_RATIO_GROUPING", "True", "DATALOADER.SIZE_FIELDS", "('w', 'h')", items=sizes)
    assert grouped.epoch_length == 8
    with pytest.raises(ValueError, match="two names in DATALOADER.SIZE_FIELDS"):
        build("DATALOADER.ASPECT_RATIO_GROUPING", "True", "DATALOADER.SIZE_FIELDS", "('w',)")


def test_errors():
    with pytest.raises(KeyError, match="did you mean 'TrainingSampler'"):
        named("TrainSampler")
    with pytest.raises(ValueError, match=r"a field 'weight' of each item, a dict or named tuple; item 0 is \{'x': 1\}"):
        named("WeightedTrainingSampler", items=[{"x": 1}])
    with pytest.raises(ValueError, match="a field 'label' of each item, .* item 0 is 3.*DATALOADER.LABEL_FIELD"):
        named("RepeatFactorTrainingSampler", items=[3])
