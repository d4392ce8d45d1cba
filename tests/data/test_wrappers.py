import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import ClassBalancedDataset, ConcatDataset, RandomSubset, RepeatDataset, Subset


@given(st.lists(st.lists(st.integers()), max_size=5), st.integers(1, 3))
def test_joined_and_repeated(parts, times):
    joined = sum(parts, [])
    assert list(ConcatDataset(*parts)) == joined
    repeated = RepeatDataset(ConcatDataset(*parts), times)
    assert len(repeated) == len(joined) * times
    assert list(repeated) == joined * times
    assert repeated[1:-1:2] == (joined * times)[1:-1:2]
    with pytest.raises(IndexError):
        repeated[len(repeated)]
    if joined:
        assert repeated[-1] == joined[-1]


def test_a_subset():
    assert list(Subset("abc", [2, 0, 2])) == ["c", "a", "c"]
    assert list(Subset("", [])) == []
    with pytest.raises(IndexError, match="places from 0 to 2, got 1 to 3"):
        Subset("abc", [1, 3])


def test_a_random_subset_is_the_same_for_the_same_seed():
    items = list(range(50))
    chosen = list(RandomSubset(items, 0.2, seed=1))
    assert len(chosen) == 10 and chosen == sorted(set(chosen))
    assert chosen == list(RandomSubset(items, 0.2, seed=1)) != list(RandomSubset(items, 0.2, seed=2))


def test_rare_labels_are_repeated():
    items = [f"x{n}" for n in range(10)]
    labels = [0] * 9 + [1]
    balanced = ClassBalancedDataset(items, labels, oversample_thr=0.5)
    assert list(balanced) == items + ["x9"] * 2  # ceil(sqrt(0.5 / 0.1)) = 3
    with pytest.raises(ValueError, match="a label for each of the 10 items, got 1"):
        ClassBalancedDataset(items, [0], 0.5)


def test_errors():
    with pytest.raises(ValueError, match="at least once, got 0"):
        RepeatDataset([1], 0)
