from itertools import islice

import pytest

from steploop.config import get_cfg
from steploop.data import (
    Draw,
    MappedDataset,
    Place,
    SampleError,
    StepMapper,
    TrainingSampler,
    build_train_loader,
    step_rng,
)


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


class OneScale(StepMapper):
    """Gives the step, and a number that all samples of two steps share."""

    def __call__(self, item, rng, place):
        return {"item": item, "step": place.step, "scale": place.step_rng(period=2).random(), "own": rng.random()}


def test_a_step_mapper_draws_for_the_whole_batch_and_is_exact_from_any_step():
    cfg = get_cfg()
    cfg.merge_from_list(["SEED", "5", "SOLVER.IMS_PER_BATCH", "4", "DATALOADER.NUM_WORKERS", "2"])
    cfg.MODEL.DEVICE = "cpu"

    def steps(start, count, **ranks):
        loader = build_train_loader(cfg, range(10), TrainingSampler(10, seed=5), mapper=OneScale(), **ranks)
        loader.seek(start)
        batches = list(islice(loader, count))
        loader.close()
        return batches

    batches = steps(0, 6)
    assert [batch["step"].unique().tolist() for batch in batches] == [[step] for step in range(6)]
    scales = [batch["scale"].unique().tolist() for batch in batches]
    assert all(len(scale) == 1 for scale in scales)
    assert scales[0] == scales[1] and scales[2] == scales[3] and len({scale[0] for scale in scales}) == 3
    assert scales[0][0] == pytest.approx(step_rng(5, 0).random())
    assert len(batches[0]["own"].unique()) == 4
    (resumed,) = steps(3, 1)
    assert all(resumed[key].equal(batches[3][key]) for key in resumed)
    (half,) = steps(3, 1, rank=1, world_size=2)
    assert all(half[key].equal(batches[3][key][2:]) for key in half)


def test_a_step_mapper_needs_the_batch_size():
    for wrong in (None, 0):
        with pytest.raises(ValueError, match="needs the batch size"):
            MappedDataset("ab", OneScale(), batch_size=wrong)
    assert MappedDataset("ab", OneScale(), batch_size=2)[Draw(1, 7)]["step"] == 3
    assert Place(1, 7, 2).step == 3
