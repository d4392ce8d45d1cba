from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploop.data import StepBatchSampler
from steploop.projects.reid.data import IdentitySampler


@st.composite
def samplers(draw):
    """A sampler with the labels of its images; identities have 1 to 9 images before up to 4 cameras."""
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    pids = draw(st.permutations([7 * pid for pid, count in enumerate(counts) for _ in range(count)]))
    camids = draw(st.lists(st.integers(0, 3), min_size=len(pids), max_size=len(pids)))
    per_group, per_batch = draw(st.integers(1, 6)), draw(st.integers(1, len(counts)))
    seed = draw(st.integers(0, 2**32))
    sampler = IdentitySampler(pids, batch_size=per_group * per_batch, num_instances=per_group, seed=seed, camids=camids)
    return sampler, np.array(pids), np.array(camids)


def epoch(sampler, number):
    length = sampler.epoch_length
    return np.array([sampler.index_at(number * length + place) for place in range(length)])


def sampler_of(pids, batch_size=8, num_instances=4, **kwargs):
    return IdentitySampler(pids, batch_size=batch_size, num_instances=num_instances, **kwargs)


@settings(deadline=None)
@given(samplers())
def test_a_batch_holds_p_identities_with_k_images(made):
    sampler, pids, _ = made
    batches = StepBatchSampler(sampler, sampler.batch_size)
    steps = 3 * sampler.epoch_length // sampler.batch_size  # over two borders of epochs
    for step in range(steps):
        found = Counter(pids[draw.index] for draw in batches.draws_at(step))
        assert set(found.values()) == {sampler.group_size}
        assert len(found) == sampler.batch_size // sampler.group_size


@settings(deadline=None)
@given(samplers())
def test_an_epoch_holds_every_identity_in_whole_batches(made):
    sampler, pids, _ = made
    num_pids = len(set(pids))
    assert sampler.epoch_length % sampler.batch_size == 0
    assert 0 <= sampler.epoch_length - num_pids * sampler.group_size < sampler.batch_size
    for number in range(2):
        groups = pids[epoch(sampler, number)].reshape(-1, sampler.group_size)
        assert (groups == groups[:, :1]).all()
        assert set(groups[:num_pids, 0]) == set(pids)
        assert list(groups[num_pids:, 0]) == list(groups[: len(groups) - num_pids, 0])


@settings(deadline=None)
@given(samplers())
def test_an_image_is_repeated_only_where_there_are_fewer_than_k(made):
    sampler, pids, _ = made
    available = Counter(pids)
    for group in epoch(sampler, 0).reshape(-1, sampler.group_size):
        uses = Counter(group)
        assert len(uses) == min(sampler.group_size, available[pids[group[0]]])
        assert max(uses.values()) - min(uses.values()) <= 1


@settings(deadline=None)
@given(samplers())
def test_a_group_goes_round_the_cameras(made):
    sampler, pids, camids = made
    num_pids = len(set(pids))
    for group in epoch(sampler, 0).reshape(-1, sampler.group_size)[:num_pids]:
        cameras = set(camids[pids == pids[group[0]]])
        assert len(set(camids[group])) == min(sampler.group_size, len(cameras))


def test_the_second_group_of_an_identity_takes_its_other_images():
    sampler = sampler_of(np.repeat(np.arange(3), 8))
    order = epoch(sampler, 0).reshape(-1, 4)
    assert len(order) == 4
    assert not set(order[0]) & set(order[3])


def test_all_images_and_pairs_come_in_time():
    pids = np.repeat(np.arange(4), 6)
    sampler = sampler_of(pids)
    orders = [epoch(sampler, number) for number in range(40)]
    assert {index for order in orders for index in order} == set(range(len(pids)))
    pairs = {frozenset(pids[batch]) for order in orders for batch in order.reshape(-1, 8)}
    assert len(pairs) == 6


def test_order_follows_from_the_seed():
    pids = np.repeat(np.arange(5), 5)
    first, again, other = (epoch(sampler_of(pids, seed=seed), 3) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert (epoch(sampler_of(pids, seed=1), 4) != first).any()


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_global_order_is_the_same_for_any_number_of_ranks(world_size):
    pids = np.repeat(np.arange(10), 3)
    whole = StepBatchSampler(sampler_of(pids, 16), 16)
    parts = [StepBatchSampler(sampler_of(pids, 16), 16, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in range(7):
        draws = [part.draws_at(step) for part in parts]
        assert sum(draws, []) == whole.draws_at(step)
        for block in draws:  # a rank's block cuts no group
            assert set(Counter(pids[draw.index] for draw in block).values()) == {4}


def test_ten_million_steps_away_costs_one_order(monkeypatch):
    drawn = []
    draw_order = IdentitySampler.draw_order
    monkeypatch.setattr(IdentitySampler, "draw_order", lambda self, rng: drawn.append(1) or draw_order(self, rng))
    sampler = sampler_of(np.repeat(np.arange(751), 17), 64)
    batches = StepBatchSampler(sampler, 64)
    batches.seek(10_000_000)
    batch = next(iter(batches))
    assert [draw.position for draw in batch] == list(range(640_000_000, 640_000_064))
    assert drawn == [1]


def test_too_few_identities_is_an_error_with_the_remedy():
    with pytest.raises(ValueError, match=r"4 identities x 4 images .* only 3 identities .* at most 12") as error:
        sampler_of([0, 0, 1, 1, 2, 2], 16)
    assert "SOLVER.IMS_PER_BATCH" in str(error.value)
    sampler_of([0, 0, 1, 1, 2, 2], 12)


@pytest.mark.parametrize(
    ("batch_size", "num_instances", "message"),
    [
        (10, 4, "nearest valid size is 8 or 12"),
        (3, 4, "nearest valid size is 4 "),
        (0, 4, "must be a multiple of 4"),
        (-8, 4, "must be a multiple of 4"),
        (8, 0, "DATALOADER.NUM_INSTANCE >= 1"),
    ],
)
def test_an_impossible_batch_is_an_error(batch_size, num_instances, message):
    with pytest.raises(ValueError, match=message):
        sampler_of(np.repeat(np.arange(9), 9), batch_size, num_instances)


def test_labels_are_checked():
    with pytest.raises(ValueError, match="a camera for each of the 4 images, got 3"):
        sampler_of([0, 0, 1, 1], camids=[0, 1, 2])
    with pytest.raises(ValueError, match="is the data set empty"):
        sampler_of([])


def test_ranks_that_would_cut_a_group_are_refused():
    with pytest.raises(ValueError, match="4 ranks x 1 micro-batches x groups of 4"):
        StepBatchSampler(sampler_of(np.repeat(np.arange(9), 9)), 8, world_size=4)
