import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import (
    GroupedSampler,
    GroupSampler,
    StepBatchSampler,
    StreamSampler,
    TrainingSampler,
    WeightedTrainingSampler,
    aspect_ratio_groups,
)


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


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_a_grouped_stream_has_batches_of_one_group_and_the_same_length_in_each_epoch(groups, batch_size, epoch):
    for inner in (TrainingSampler(len(groups), seed=2), WeightedTrainingSampler(np.arange(1, len(groups) + 1), seed=2)):
        sampler = GroupedSampler(inner, groups, batch_size)
        order = sampler.order(epoch)
        assert len(order) == sampler.epoch_length == -(-len(groups) // batch_size) * batch_size
        assert all(len({groups[index] for index in batch}) == 1 for batch in order.reshape(-1, batch_size))
        # Only the rest of a group is left out, and only what is drawn comes.
        drawn, given_back = np.bincount(inner.order(epoch)), np.bincount(order)
        assert set(np.flatnonzero(given_back)) <= set(np.flatnonzero(drawn))


def test_a_grouped_stream_keeps_the_order_in_which_batches_are_filled():
    class Fixed(StreamSampler):
        def draw_order(self, rng):
            return np.array([0, 2, 3, 1, 4, 6, 5, 7, 8])

    sampler = GroupedSampler(Fixed(9), [0, 0, 1, 1, 0, 1, 1, 1, 0], 2)
    assert sampler.order(0).tolist() == [2, 3, 0, 1, 6, 5, 4, 8, 7, 2]


def test_what_belongs_together_stays_together():
    class Pairs(StreamSampler):
        group_size = 2

        def draw_order(self, rng):
            return np.array([0, 1, 2, 3, 4, 5, 6, 7])

    # A pair of two groups is counted as the first.
    sampler = GroupedSampler(Pairs(8), [0, 1, 1, 1, 0, 0, 1, 1], 4)
    assert sampler.group_size == 2
    assert sampler.order(0).tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    StepBatchSampler(sampler, 4, world_size=2)
    with pytest.raises(ValueError, match="a multiple of 2, got 3"):
        GroupedSampler(Pairs(8), [0] * 8, 3)
    with pytest.raises(ValueError, match="a group for each of the 8 items, got 7"):
        GroupedSampler(Pairs(8), [0] * 7, 4)
