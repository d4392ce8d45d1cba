import math

import pytest

from steploop.engine.metrics.history import HistoryBuffer


def filled(*values, max_length=1000):
    history = HistoryBuffer(max_length)
    for value in values:
        history.update(value)
    return history


def test_latest_median_and_averages():
    history = filled(1.0, 5.0, 2.0, 4.0)
    assert history.latest() == 4.0
    assert history.median(3) == 4.0
    assert history.median(4) == 3.0
    assert history.avg(2) == 3.0
    assert history.global_avg() == 3.0


def test_memory_is_bounded_but_the_global_average_is_over_everything():
    history = filled(*range(10), max_length=3)
    assert history.values() == [(7, 7), (8, 8), (9, 9)]
    assert history.global_avg() == 4.5


def test_median_with_nan_is_nan():
    assert math.isnan(filled(1.0, math.nan, 2.0).median(3))


def test_since_returns_the_pairs_at_or_after_an_iteration():
    assert filled(10.0, 11.0, 12.0).since(1) == [(11.0, 1), (12.0, 2)]
    assert filled(10.0).since(5) == []


def test_state_survives_a_round_trip_bit_for_bit():
    history = filled(0.1, 0.2, 1e-300)
    other = HistoryBuffer()
    other.load_state_dict(history.state_dict())
    assert other.values() == history.values()
    assert other.global_avg() == history.global_avg()


def test_a_length_below_one_is_an_error():
    with pytest.raises(ValueError, match="at least one value"):
        HistoryBuffer(0)
