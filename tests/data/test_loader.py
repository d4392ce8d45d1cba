import os
import signal
from itertools import islice

import pytest
import torch

from steploop.data import MappedDataset, SampleError, build_test_loader
from toy_data import loader, noisy, with_foreign


def take(count, *, start=0, **kwargs):
    made = loader(**kwargs)
    made.seek(start)
    try:
        return list(islice(made, count))
    finally:
        made.close()


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x["item"], y["item"]) and torch.equal(x["noise"], y["noise"]) and x["name"] == y["name"]
        for x, y in zip(a, b)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_samples_with_any_number_of_workers(workers):
    assert same(take(8), take(8, num_workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_any_step_can_be_entered(workers):
    assert same(take(3, start=5, num_workers=workers), take(8)[5:])


def test_a_sample_differs_from_epoch_to_epoch():
    first, again = take(5), take(5, start=5)
    noises = [
        {item: tuple(n.tolist()) for b in part for item, n in zip(b["item"].tolist(), b["noise"])}
        for part in (first, again)
    ]
    assert noises[0].keys() == noises[1].keys() == set(range(20))
    assert all(noises[0][item] != noises[1][item] for item in range(20))


def test_foreign_random_numbers_are_a_function_of_the_sample_too():
    a, b = take(3, mapper=with_foreign), take(3, mapper=with_foreign, num_workers=2)
    assert all(torch.equal(x["value"], y["value"]) for x, y in zip(a, b))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_never_touched(workers):
    state = torch.get_rng_state()
    take(3, num_workers=workers)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_what_is_asked_for_is_read():
    read = []

    def mapper(item, rng):
        read.append(item)
        return noisy(item, rng)

    take(1, start=10_000_000, mapper=mapper)
    assert len(read) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_the_item(workers):
    with pytest.raises(SampleError, match=r"item \d of the data set, -5, gave no sample"):
        take(1, items=(-5,) * 4, num_workers=workers)


def test_workers_ignore_what_is_sent_to_the_whole_group():
    made = loader(num_workers=1)
    batches = iter(made)
    next(batches)
    (worker,) = batches._batches._workers
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(worker.pid, number)
    assert len(list(islice(batches, 10))) == 10
    made.close()
    assert not worker.is_alive()


def test_a_closed_iterator_says_so_and_the_loader_goes_on():
    made = loader()
    batches = iter(made)
    made.close()
    with pytest.raises(RuntimeError, match="iterate over the loader"):
        next(batches)
    assert next(iter(made))["item"].shape == (4,)
    made.close()


def test_lengths_and_items():
    made = loader()
    assert (made.batch_size, made.epoch_length) == (4, 20)
    assert made.items_at(3) == take(1, start=3)[0]["item"].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_test_loader_holds_each_item_once(workers):
    dataset = MappedDataset(range(11), noisy)
    seen = [
        item
        for rank in range(2)
        for batch in build_test_loader(dataset, 3, rank=rank, world_size=2, num_workers=workers)
        for item in batch["item"].tolist()
    ]
    assert sorted(seen) == list(range(11))


def test_a_test_set_without_a_length_is_an_error():
    with pytest.raises(TypeError, match="with a length"):
        build_test_loader(iter([1]), 2)
