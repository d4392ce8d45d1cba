"""What every sampler of a training stream promises."""

from itertools import islice

import numpy as np
import pytest

from steploop.data import (
    GroupSampler,
    RandomSubsetTrainingSampler,
    RepeatFactorTrainingSampler,
    StepBatchSampler,
    TrainingSampler,
    WeightedTrainingSampler,
)

BATCH = 8
SAMPLERS = {
    "training": lambda seed: TrainingSampler(23, seed=seed),
    "repeat": lambda seed: RepeatFactorTrainingSampler(np.linspace(1, 3.3, 23), seed=seed),
    "weighted": lambda seed: WeightedTrainingSampler(np.arange(23), seed=seed),
    "subset": lambda seed: RandomSubsetTrainingSampler(40, 0.5, seed=seed),
    "groups": lambda seed: GroupSampler(np.arange(23) % 3, BATCH, seed=seed),
}


@pytest.fixture(params=SAMPLERS)
def make(request):
    return SAMPLERS[request.param]


def batches(sampler, count, *, start=0, **ranks):
    stepped = StepBatchSampler(sampler, BATCH, **ranks)
    stepped.seek(start)
    return [[draw.index for draw in batch] for batch in islice(stepped, count)]


def test_it_can_be_entered_anywhere(make):
    whole = batches(make(3), 30)
    for start in (1, 7, 29):
        assert batches(make(3), 30 - start, start=start) == whole[start:]


def test_the_global_batch_is_the_same_for_any_number_of_ranks(make):
    whole = batches(make(3), 12)
    for world_size in (2, 4):
        parts = [batches(make(3), 12, rank=rank, world_size=world_size) for rank in range(world_size)]
        assert [sum((part[step] for part in parts), []) for step in range(12)] == whole


def test_epochs_differ_but_not_in_length(make):
    sampler = make(3)
    orders = [sampler.order(epoch) for epoch in range(6)]
    assert {len(order) for order in orders} == {sampler.epoch_length}
    assert all(order.dtype == np.int64 for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert make(4).order(0).tolist() != orders[0].tolist()
