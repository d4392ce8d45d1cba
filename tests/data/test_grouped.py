import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import GroupSampler, StepBatchSampler, aspect_ratio_groups


def test_aspect_ratios():
    assert aspect_ratio_groups([(1, 2), (2, 1), (3, 3)]).tolist() == [0, 1, 1]
    assert aspect_ratio_groups([(1, 3), (1, 1), (3, 1)], borders=(0.5, 2)).tolist() == [0, 1, 2]
    assert aspect_ratio_groups([]).tolist() == []


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_batches_are_of_one_group_and_hold_every_item(groups, batch_size, epoch):
    sampler = GroupSampler(groups, batch_size, seed=2)
    order = sampler.order(epoch)
    assert len(order) == sampler.epoch_length
    batches = np.asarray(groups)[order].reshape(-1, batch_size)
    assert (batches == batches[:, :1]).all()
    counts = np.bincount(order, minlength=len(groups))
    assert counts.min() >= 1
    for group in set(groups):
        mine = counts[np.asarray(groups) == group]
        assert mine.max() - mine.min() <= 1


def test_groups_take_turns():
    sampler = GroupSampler(["a"] * 40 + ["b"] * 40, 4)
    first_of_batches = sampler.order(0)[::4] < 40
    assert 0 < first_of_batches[:10].sum() < 10


def test_every_ranks_batch_is_of_one_group():
    groups = np.arange(30) % 2
    for rank in range(2):
        stepped = StepBatchSampler(GroupSampler(groups, 8), 8, rank=rank, world_size=2, micro_batches=2)
        for step in range(20):
            assert len({groups[draw.index] for draw in stepped.draws_at(step)}) == 1


def test_errors():
    with pytest.raises(ValueError, match="batch size >= 1"):
        GroupSampler([1], 0)
    with pytest.raises(ValueError, match="is the data set empty"):
        GroupSampler([], 2)
    with pytest.raises(ValueError, match="made for batches of 4, not of 8"):
        StepBatchSampler(GroupSampler([1, 2], 4), 8)
