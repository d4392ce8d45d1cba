import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.engine.metrics.reader import next_end
from steploop.engine.train_loop import every


def test_the_last_step_of_each_block():
    assert [i for i in range(10) if every(4, i)] == [3, 7]


def test_zero_means_never():
    assert not any(every(0, i) for i in range(10))


def test_a_negative_period_is_an_error():
    with pytest.raises(ValueError, match="0 for never"):
        every(-1, 0)


@given(st.integers(1, 50), st.integers(-1, 1000))
def test_the_next_end_is_the_first_step_that_ends_a_block(period, iteration):
    end = next_end(period, iteration)
    assert end > iteration and every(period, end)
    assert not any(every(period, i) for i in range(iteration + 1, end))
