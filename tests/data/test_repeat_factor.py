import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import RepeatFactorTrainingSampler, repeat_factors

FACTORS = st.lists(st.floats(1, 9), min_size=1, max_size=60)


def test_factors_are_those_of_the_paper():
    labels = ["cat"] * 90 + ["dog"] * 9 + ["emu"]
    factors = repeat_factors(labels, 0.16)
    assert factors[[0, 90, 99]] == pytest.approx([1, (0.16 / 0.09) ** 0.5, 4])
    assert repeat_factors(labels, 0.16, sqrt=False)[[0, 90, 99]] == pytest.approx([1, 0.16 / 0.09, 16])
    assert (repeat_factors(labels, 0) == 1).all()


def test_an_item_comes_as_often_as_its_rarest_label():
    factors = repeat_factors([["a"], ["a", "b"], (), {"a"}], 1.0)
    assert factors == pytest.approx([(4 / 3) ** 0.5, 2, 1, (4 / 3) ** 0.5])


def test_labels_in_arrays_are_compared_by_value():
    labels = [0, 0, 0, 1]
    expected = repeat_factors(labels, 0.5)
    for several in (torch.tensor(labels), np.array(labels)):
        assert (repeat_factors(list(several), 0.5) == expected).all()
        assert (repeat_factors(list(several[:, None]), 0.5) == expected).all()  # a list of one label each


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match=r"threshold in \[0, 1\]"):
        repeat_factors([1, 2], threshold)


@given(FACTORS, st.integers(0, 99), st.integers(0, 10**6))
def test_each_item_comes_its_factor_of_times_rounded_down_or_up(factors, seed, epoch):
    sampler = RepeatFactorTrainingSampler(factors, seed=seed)
    counts = np.bincount(sampler.order(epoch), minlength=len(factors))
    scaled = np.array(factors) * sampler.epoch_length / sum(factors)  # the length is a whole number
    assert (counts >= np.floor(scaled - 1e-6)).all() and (counts <= np.ceil(scaled + 1e-6)).all()
    assert 0 <= sampler.epoch_length - sum(factors) < 1


def test_fractions_come_true_on_average():
    factors = np.array([1.0, 1.25, 2.5, 3.9, 1.35])  # 10 in all
    sampler = RepeatFactorTrainingSampler(factors, seed=5)
    counts = sum(np.bincount(sampler.order(epoch), minlength=5) for epoch in range(4000))
    assert counts / 4000 == pytest.approx(factors, abs=0.05)


def test_whole_factors_are_met_exactly():
    sampler = RepeatFactorTrainingSampler([1, 3, 2])
    assert sorted(sampler.order(7).tolist()) == [0, 1, 1, 1, 2, 2]
    assert RepeatFactorTrainingSampler([1, 3, 2], shuffle=False).order(7).tolist() == [0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("factors", [[0.5], [1.0, float("nan")], [float("inf")]])
def test_impossible_factors(factors):
    with pytest.raises(ValueError, match="repeat factors >= 1"):
        RepeatFactorTrainingSampler(factors)
    with pytest.raises(ValueError, match="is the data set empty"):
        RepeatFactorTrainingSampler([])
