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


def build(*overrides, items=ITEMS):
    cfg = get_cfg()
    add_sampler_config(cfg)
    cfg.merge_from_list(["SOLVER.IMS_PER_BATCH", "4", *overrides])
    return build_train_sampler(cfg, items, 1)


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
    with pytest.raises(ValueError, match="'TrainingSampler' only, not with 'WeightedTrainingSampler'"):
        named("WeightedTrainingSampler", "DATALOADER.ASPECT_RATIO_GROUPING", "True")


def test_errors():
    with pytest.raises(KeyError, match="did you mean 'TrainingSampler'"):
        named("TrainSampler")
    with pytest.raises(ValueError, match=r"a field 'weight' of each item, a dict; item 0 is \{'x': 1\}"):
        named("WeightedTrainingSampler", items=[{"x": 1}])
    with pytest.raises(ValueError, match="a field 'label' of each item, a dict; item 0 is 3"):
        named("RepeatFactorTrainingSampler", items=[3])
