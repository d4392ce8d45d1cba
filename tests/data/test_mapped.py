import pytest

from steploop.data import Draw, MappedDataset, SampleError


def test_a_sample_follows_from_item_and_position():
    dataset = MappedDataset("abc", lambda item, rng: (item, rng.random()), seed=1)
    assert dataset[Draw(1, 7)] == dataset[Draw(1, 7)]
    assert dataset[Draw(1, 7)] != dataset[Draw(1, 8)]
    assert dataset[2] == dataset[Draw(2, 2)]
    assert len(dataset) == 3


def test_the_mappers_error_is_the_cause():
    def fail(item, rng):
        raise ZeroDivisionError("of its own")

    with pytest.raises(
        SampleError, match="item 1 of the data set, 'b'.*position 9: ZeroDivisionError: of its own"
    ) as e:
        MappedDataset("ab", fail)[Draw(1, 9)]
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_an_index_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        MappedDataset("ab", lambda item, rng: item)[2]
