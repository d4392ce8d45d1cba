import pytest

from steploop.engine.period import every


def test_the_last_step_of_each_block():
    assert [i for i in range(10) if every(4, i)] == [3, 7]


def test_zero_means_never():
    assert not any(every(0, i) for i in range(10))


def test_a_negative_period_is_an_error():
    with pytest.raises(ValueError, match="0 for never"):
        every(-1, 0)
