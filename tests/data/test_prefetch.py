import contextlib
from itertools import islice

import pytest
import torch

from steploop.config import get_cfg
from steploop.data import MappedDataset, Prefetcher, SampleError, StepBatchSampler, TrainingSampler
from steploop.data import TrainLoader as Loader
from steploop.data.prefetch import prefetched
from toy_data import loader, noisy


@pytest.fixture
def events(monkeypatch):
    """Put fakes in the place of CUDA's streams; return the list of what is asked of them."""
    events = []

    class Stream:
        def __init__(self, device=None, name="copies"):
            self.name = name

        def wait_stream(self, other):
            events.append(f"{self.name} waits for {other.name}")

    @contextlib.contextmanager
    def on(stream):
        events.append(f"on {stream.name}")
        yield
        events.append("off")

    current = Stream(name="current")
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: events.append(f"record {stream.name}"))
    return events


def ahead(**kwargs):
    return Prefetcher(loader(**kwargs), torch.device("cpu"))


def same(a, b):
    return all(torch.equal(x["noise"], y["noise"]) and x["name"] == y["name"] for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_batches_are_those_of_the_loader_from_any_step(events, num_workers):
    expected = list(islice(loader(), 6))
    made = ahead(num_workers=num_workers)
    assert same(list(islice(made, 6)), expected)
    made.seek(4)
    assert same(list(islice(made, 2)), expected[4:])
    made.close()


def test_the_next_batch_is_copied_before_this_one_is_used(events):
    batches = iter(ahead())
    next(batches)
    copy = ["on copies", "off"]
    records = 2 * ["record current"]  # the batch's two tensors
    assert events == [*copy, "current waits for copies", *records, *copy]
    del events[:]
    next(batches)
    assert events == ["current waits for copies", *records, *copy]


def test_all_iterators_share_a_stream(events, monkeypatch):
    """The memory of a batch is kept for its stream: with a new one each time, it would grow with every iterator."""
    made, streams, stream = ahead(), [], torch.cuda.Stream
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: streams.append(stream(device)) or streams[-1])
    for _ in range(3):
        next(iter(made))
        made.close()
    assert len(streams) == 1


def test_what_the_loader_knows_is_passed_on(events):
    made, plain = ahead(), loader()
    assert (made.batch_size, made.epoch_length, made.items_at(3)) == (4, 20, plain.items_at(3))
    assert made.dataset is made.loader.dataset and made.batch_sampler is made.loader.batch_sampler


def test_an_error_comes_in_its_turn(events):
    def mapper(item, rng):
        if item == 2:
            raise KeyError("broken")
        return noisy(item, rng)

    batches = StepBatchSampler(TrainingSampler(4, shuffle=False), 1)
    made = iter(Prefetcher(Loader(MappedDataset(range(4), mapper), batches), torch.device("cpu")))
    assert [next(made)["item"].item() for _ in range(2)] == [0, 1]
    with pytest.raises(SampleError, match="item 2 .*broken"):
        next(made)
    with pytest.raises(RuntimeError, match="this iterator was closed"):
        next(made)


def test_a_closed_iterator_gives_no_batch_that_it_held_back(events):
    made = ahead(num_workers=1)
    batches = iter(made)
    next(batches)
    made.close()
    with pytest.raises(RuntimeError, match="this iterator was closed"):
        next(batches)


def test_on_a_cpu_nothing_is_wrapped():
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    made = loader()
    assert prefetched(made, cfg) is made


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: copies on a stream of their own")
def test_batches_arrive_on_the_gpu_without_waiting():
    device = torch.device("cuda")
    expected = list(islice(loader(), 50))
    made = iter(Prefetcher(loader(pin_memory=True), device))
    found = [next(made)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(49):
            batch = next(made)
            batch["noise"] = batch["noise"] * 1
            found.append(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(batch["noise"].is_cuda for batch in found)
    assert same([{**batch, "noise": batch["noise"].cpu()} for batch in found], expected)
