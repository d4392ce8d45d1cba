from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steploop.data import InferenceSampler, StepBatchSampler, StreamSampler, TrainingSampler


def batches(count, *, start=0, size=23, **kwargs):
    batch_sampler = StepBatchSampler(TrainingSampler(size, seed=3), 8, **kwargs)
    batch_sampler.seek(start)
    return list(islice(batch_sampler, count))


def flat(lists):
    return [draw for batch in lists for draw in batch]


def test_without_shuffling_the_order_is_the_data_sets():
    assert TrainingSampler(4, shuffle=False).order(9).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_the_global_batch_is_the_same_for_any_number_of_ranks(world_size):
    whole = batches(10)
    parts = [batches(10, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert [flat(part[step] for part in parts) for step in range(10)] == whole


@pytest.mark.parametrize("world_size, micro_batches", [(1, 4), (2, 2), (2, 4)])
def test_micro_batches_are_pieces_of_a_ranks_block(world_size, micro_batches):
    for rank in range(world_size):
        whole = batches(6, rank=rank, world_size=world_size)
        pieces = batches(6 * micro_batches, rank=rank, world_size=world_size, micro_batches=micro_batches)
        assert flat(pieces) == flat(whole)
        assert {len(piece) for piece in pieces} == {8 // world_size // micro_batches}


@given(st.integers(0, 10**9))
def test_a_step_can_be_entered_directly(step):
    (batch,) = batches(1, start=step)
    assert [draw.position for draw in batch] == list(range(8 * step, 8 * step + 8))


def test_seeking_gives_the_rest_of_the_same_sequence():
    assert batches(5, start=7) == batches(12)[7:]


def test_a_running_iterator_is_not_moved():
    batch_sampler = StepBatchSampler(TrainingSampler(23), 8)
    running = iter(batch_sampler)
    first = next(running)
    batch_sampler.seek(100)
    assert next(running)[0].position == first[-1].position + 1


def test_draws_at_is_what_the_iterator_yields():
    batch_sampler = StepBatchSampler(TrainingSampler(23, seed=3), 8, rank=1, world_size=2, micro_batches=2)
    assert batch_sampler.draws_at(5) == flat(islice(batch_sampler, 10, 12))


class InGroups(StreamSampler):
    group_size = 4

    def draw_order(self, rng):
        return rng.permutation(self.size)


@pytest.mark.parametrize(
    "sampler, batch_size, kwargs, message",
    [
        (TrainingSampler(9), 7, {"world_size": 2}, "multiple of 2 .*nearest valid size is 6 or 8"),
        (TrainingSampler(9), 1, {"world_size": 4}, "nearest valid size is 4"),
        (TrainingSampler(9), 0, {}, "cannot be split evenly"),
        (InGroups(9), 8, {"world_size": 4}, "4 ranks x 1 micro-batches x groups of 4"),
        (TrainingSampler(9), 8, {"micro_batches": 0}, "at least one micro-batch"),
        (TrainingSampler(9), 8, {"rank": 2, "world_size": 2}, "rank 2 of 2"),
    ],
)
def test_batches_that_cannot_be_split_are_errors(sampler, batch_size, kwargs, message):
    with pytest.raises(ValueError, match=message):
        StepBatchSampler(sampler, batch_size, **kwargs)


def test_a_negative_step_is_an_error():
    with pytest.raises(ValueError, match="step >= 0"):
        StepBatchSampler(TrainingSampler(9), 8).seek(-1)


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 5))
def test_each_item_is_evaluated_once_whatever_the_number_of_ranks(size, batch_size, world_size):
    samplers = [InferenceSampler(size, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    dealt = [list(sampler) for sampler in samplers]
    assert sorted(draw.index for part in dealt for draw in flat(part)) == list(range(size))
    assert [len(part) for part in dealt] == [len(sampler) for sampler in samplers]
    alone = {tuple(batch) for batch in InferenceSampler(size, batch_size)}
    assert {tuple(batch) for part in dealt for batch in part} == alone


def test_inference_batches_of_nothing_are_an_error():
    with pytest.raises(ValueError, match="batch size >= 1"):
        InferenceSampler(5, 0)
