import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import Draw, TrainingSampler, check_seed, sample_rng

seeds = st.integers(0, 2**70)
positions = st.integers(0, 2**50)


@given(seeds, positions)
def test_random_numbers_follow_from_seed_and_position(seed, position):
    first = sample_rng(seed, position).integers(2**62, size=4)
    assert np.array_equal(first, sample_rng(seed, position).integers(2**62, size=4))
    assert not np.array_equal(first, sample_rng(seed, position + 1).integers(2**62, size=4))
    assert not np.array_equal(first, sample_rng(seed + 1, position).integers(2**62, size=4))


def test_the_order_of_an_epoch_shares_nothing_with_the_sample_of_its_number():
    order = TrainingSampler(1000, seed=5).order(3)
    assert not np.array_equal(order, sample_rng(5, 3).permutation(1000))


@pytest.mark.parametrize("call", [lambda: check_seed(-1), lambda: sample_rng(-1, 0), lambda: sample_rng(0, -1)])
def test_negative_numbers_are_refused(call):
    with pytest.raises(ValueError, match=">= 0"):
        call()


def test_index_at_walks_through_the_epochs():
    sampler = TrainingSampler(7, seed=1)
    walked = [sampler.index_at(position) for position in range(21)]
    assert walked == [int(i) for epoch in range(3) for i in sampler.order(epoch)]
    for epoch in range(3):
        assert sorted(walked[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert walked[:7] != walked[7:14]


def test_a_jump_draws_one_order_only(monkeypatch):
    sampler = TrainingSampler(100)
    drawn = []
    draw_order = sampler.draw_order
    monkeypatch.setattr(sampler, "draw_order", lambda rng: drawn.append(1) or draw_order(rng))
    sampler.index_at(10_000_000 * 64 + 3)
    sampler.index_at(10_000_000 * 64 + 4)
    assert len(drawn) == 1


def test_the_order_cannot_be_changed_by_who_looks_at_it():
    with pytest.raises(ValueError, match="read-only"):
        TrainingSampler(3).order(0)[0] = 9


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="is the data set empty"):
        TrainingSampler(0)


def test_a_draw_is_a_pair():
    assert tuple(Draw(3, 14)) == (3, 14)
