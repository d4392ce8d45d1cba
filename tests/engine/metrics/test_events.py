import pytest
import torch

from steploop.engine import EventStorage, get_event_storage, has_event_storage


def test_the_storage_is_found_inside_its_context_only():
    assert not has_event_storage()
    with EventStorage() as storage:
        assert get_event_storage() is storage
    with pytest.raises(RuntimeError, match="no EventStorage"):
        get_event_storage()


def test_numbers_and_tensors_are_read_alike():
    storage = EventStorage(5)
    storage.put_scalar("a", 1)
    storage.put_scalar("b", torch.tensor(2.5))
    assert storage.latest() == {"a": (1.0, 5), "b": (2.5, 5)}


def test_a_tensor_is_not_read_before_somebody_asks(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "is_cpu", False)  # as on an accelerator
    storage = EventStorage()
    reads = []
    read = storage._pending.read
    monkeypatch.setattr(storage._pending, "read", lambda: reads.append(1) or read())
    for step in range(100):
        storage.iter = step
        storage.put_scalar("a", torch.tensor(float(step)))
    assert not reads
    assert storage.history("a").values()[-1] == (99.0, 99)
    assert len(reads) == 1


def test_more_values_than_fit_a_row_are_all_kept():
    storage = EventStorage()
    for step in range(600):
        storage.iter = step
        storage.put_scalar("a", torch.tensor(float(step)))
    assert [iteration for _, iteration in storage.history("a").values()] == list(range(600))


def test_a_name_keeps_its_hint():
    storage = EventStorage()
    storage.put_scalar("a", 1.0, smoothing_hint=False)
    with pytest.raises(ValueError, match="smoothing_hint=False before"):
        storage.put_scalar("a", 1.0)


def test_medians_are_over_the_last_iterations_not_the_last_values():
    storage = EventStorage()
    for step, value in ((0, 100.0), (10, 1.0), (11, 3.0), (12, 2.0)):
        storage.iter = step
        storage.put_scalar("smooth", value)
        storage.put_scalar("raw", value, smoothing_hint=False)
    assert storage.count_samples("smooth", 5) == 3
    assert storage.latest_with_smoothing_hint(5) == {"smooth": (2.0, 12), "raw": (2.0, 12)}


def test_since_gives_raw_values():
    storage = EventStorage()
    storage.put_scalar("old", 1.0)
    for step in range(3):
        storage.iter = step
        storage.put_scalar("a", step)
    assert storage.since(1) == {"a": [(1.0, 1), (2.0, 2)]}


def test_name_scope_ends_with_an_exception_too():
    storage = EventStorage()
    with pytest.raises(KeyError), storage.name_scope("outer"):
        storage.put_scalar("a", 1.0)
        raise KeyError
    storage.put_scalar("b", 1.0)
    assert set(storage.latest()) == {"outer/a", "b"}


def test_an_unknown_name_is_an_error_that_lists_the_known():
    storage = EventStorage()
    storage.put_scalar("known", 1.0)
    with pytest.raises(KeyError, match="recorded: known"):
        storage.history("other")


def test_state_restores_the_windows():
    storage = EventStorage()
    for step in range(30):
        storage.iter = step
        storage.put_scalar("a", torch.tensor(step / 7))
    storage.put_scalar("lr", 0.5, smoothing_hint=False)
    storage.headlines["a"] = None
    other = EventStorage(30)
    other.load_state_dict(storage.state_dict())
    assert other.latest_with_smoothing_hint() == storage.latest_with_smoothing_hint()
    assert other.headlines == {"a": None}


def test_images_and_histograms_wait_for_a_writer_in_bounded_number():
    storage = EventStorage(4)
    for _ in range(300):
        storage.put_image("x", torch.zeros(3, 2, 2, dtype=torch.uint8))
    assert len(storage.images()) == 256
    storage.put_histogram("h", torch.tensor([0.0, 1.0, 1.0]), bins=2)
    (histogram,) = storage.histograms()
    assert histogram["bucket_counts"] == [1.0, 2.0]
    assert histogram["bucket_limits"] == [0.5, 1.0]
    assert histogram["global_step"] == 4
    storage.clear_images()
    storage.clear_histograms()
    assert storage.images() == storage.histograms() == []
