import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import RandomSubsetTrainingSampler, WeightedTrainingSampler


def test_items_come_as_their_weights_say():
    sampler = WeightedTrainingSampler([1, 0, 3, 1e-320], seed=1)
    assert sampler.epoch_length == 4
    counts = np.bincount(np.concatenate([sampler.order(epoch) for epoch in range(5000)]), minlength=4)
    assert counts[[1, 3]].tolist() == [0, 0]
    assert counts[2] / counts[0] == pytest.approx(3, rel=0.05)


def test_huge_weights_do_not_overflow():
    assert set(WeightedTrainingSampler([1e308, 1e308, 0], seed=1).order(0).tolist()) <= {0, 1}


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1, -1], [float("nan")], [float("inf"), 1]])
def test_impossible_weights(weights):
    with pytest.raises(ValueError, match="finite weights >= 0"):
        WeightedTrainingSampler(weights)


@given(st.integers(1, 300), st.floats(0.001, 1), st.integers(0, 99))
def test_a_subset_is_drawn_once(size, ratio, seed):
    sampler = RandomSubsetTrainingSampler(size, ratio, seed=seed)
    assert sampler.epoch_length == max(1, round(size * ratio))
    chosen = sampler.indices.tolist()
    assert chosen == sorted(set(chosen)) and chosen[0] >= 0 and chosen[-1] < size
    assert sorted(sampler.order(0).tolist()) == sorted(sampler.order(9).tolist()) == chosen
    assert RandomSubsetTrainingSampler(size, ratio, shuffle=False, seed=seed).order(3).tolist() == chosen


def test_a_subset_may_have_its_own_seed():
    one, other, third = (
        RandomSubsetTrainingSampler(100, 0.3, seed=seed, seed_subset=own) for seed, own in ((1, 7), (2, 7), (2, None))
    )
    assert one.indices.tolist() == other.indices.tolist() != third.indices.tolist()
    assert one.order(0).tolist() != other.order(0).tolist()


@pytest.mark.parametrize("ratio", [0, 1.1, -1, float("nan")])
def test_a_ratio_is_a_share(ratio):
    with pytest.raises(ValueError, match=r"\(0, 1\].*DATALOADER.RANDOM_SUBSET_RATIO"):
        RandomSubsetTrainingSampler(10, ratio)
