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


class Together:
    """Tells how many samples each call made."""

    def __init__(self):
        self.calls = []

    def __call__(self, item, rng):
        if item == "x":
            raise ZeroDivisionError("of its own")
        return item, rng.random()

    def map_together(self, items, rngs):
        self.calls.append(len(items))
        return [self(item, rng) for item, rng in zip(items, rngs)]


def test_samples_that_are_made_together_are_the_same():
    draws = [Draw(i % 3, 7 * i) for i in range(20)]
    single = MappedDataset("abc", lambda item, rng: (item, rng.random()), seed=1)
    mapper = Together()
    together = MappedDataset("abc", mapper, seed=1)
    assert together.__getitems__(draws) == single.__getitems__(draws) == [single[draw] for draw in draws]
    assert mapper.calls == [8, 8, 4]


def test_one_that_fails_among_others_is_named():
    with pytest.raises(SampleError, match="item 2 of the data set, 'x'.*position 5: ZeroDivisionError: of its own"):
        MappedDataset("abx", Together()).__getitems__([Draw(0, 1), Draw(2, 5), Draw(1, 6)])
    with pytest.raises(IndexError):
        MappedDataset("ab", Together()).__getitems__([Draw(0, 1), Draw(2, 2)])
