import torch

from steploop.engine import EventStorage
from steploop.engine.metrics.writers import NewValuesWriter


def test_scalars_come_once_by_iteration_and_smoothed():
    writer = NewValuesWriter(window_size=3)
    with EventStorage() as storage:
        for step, value in enumerate([1.0, 9.0, 2.0]):
            storage.iter = step
            storage.put_scalar("loss", value)
        storage.put_scalar("early", 5.0, cur_iter=1)
        assert writer.new_scalars() == [(1, {"early": 5.0}), (2, {"loss": 2.0})]
        assert writer.new_scalars() == []
        assert writer.state_dict() == {"last_write": 2}
        storage.put_scalar("lr", 0.5, smoothing_hint=False, cur_iter=3)
        assert writer.new_scalars() == [(3, {"lr": 0.5})]


def test_a_restored_writer_goes_on():
    writer = NewValuesWriter()
    writer.load_state_dict({"last_write": 4})
    with EventStorage(4) as storage:
        storage.put_scalar("a", 1.0)
        storage.put_scalar("b", 1.0, cur_iter=5)
        assert writer.new_scalars() == [(5, {"b": 1.0})]


def test_every_writer_sees_every_picture_once():
    first, second = NewValuesWriter(), NewValuesWriter()
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    with EventStorage(4) as storage:
        storage.put_image("a", image)
        storage.put_histogram("h", torch.arange(3.0))
        assert [name for name, *_ in first.new_images()] == ["a"]
        storage.put_image("a", image)  # of the same name and iteration, but another
        assert [name for name, *_ in first.new_images()] == ["a"]
        assert [name for name, *_ in second.new_images()] == ["a", "a"]
        assert first.new_images() == second.new_images() == []
        assert [len(writer.new_histograms()) for writer in (first, second, first)] == [1, 1, 0]
        storage.clear_images()
        storage.put_image("b", image)
        assert [name for name, *_ in first.new_images()] == ["b"]
