import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from steploop.engine import EventStorage, TensorboardXWriter


def test_all_scalars_of_an_iteration_are_one_event(tmp_path):
    with EventStorage(3) as storage:
        writer = TensorboardXWriter(tmp_path)
        storage.put_scalars(a=1.0, b=2.0)
        writer.write()
        writer.write()
        writer.close()
    (path,) = tmp_path.iterdir()
    events = [event for event in EventFileLoader(str(path)).Load() if event.HasField("summary")]
    assert [(event.step, {v.tag for v in event.summary.value}) for event in events] == [(3, {"a", "b"})]


def test_images_and_histograms_are_written_once(tmp_path):
    with EventStorage(3) as storage:
        writer = TensorboardXWriter(tmp_path)
        storage.put_image("picture", torch.zeros(3, 4, 5, dtype=torch.uint8))
        storage.put_histogram("weights", torch.arange(10.0))
        writer.write()
        writer.write()
        writer.close()
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"images": 0, "histograms": 0})
    accumulator.Reload()
    assert [(image.step, image.width, image.height) for image in accumulator.Images("picture")] == [(3, 5, 4)]
    assert [item.histogram_value.num for item in accumulator.Histograms("weights")] == [10.0]


def test_after_a_resume_later_points_of_the_old_file_are_hidden(tmp_path):
    first = TensorboardXWriter(tmp_path)
    second = TensorboardXWriter(tmp_path, filename_suffix=".resumed")
    with EventStorage() as storage:
        for step in (19, 39):
            storage.iter = step
            storage.put_scalar("a", step, smoothing_hint=False)
            first.write()
            if step == 19:
                state = first.state_dict()
        first.close()
        second.load_state_dict(state)
        storage.put_scalar("a", 100.0, smoothing_hint=False)
        second.write()
        second.close()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert [(point.step, point.value) for point in accumulator.Scalars("a")] == [(19, 19.0), (39, 100.0)]


def test_nothing_written_leaves_no_file(tmp_path):
    with EventStorage():
        writer = TensorboardXWriter(tmp_path)
        writer.write()
        writer.flush()
        writer.close()
    assert not list(tmp_path.iterdir())
