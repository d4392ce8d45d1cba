from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.summary_pb2 import Summary

from steploop.engine.metrics.writers.event_file import EventFile


def summary(**values):
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def test_events_are_read_by_tensorboard_before_the_file_is_closed(tmp_path):
    file = EventFile(tmp_path / "run")
    file.add(step=3, summary=summary(loss=0.5, lr=0.25))
    file.add(step=4, summary=summary(loss=0.125))
    file.push()
    board = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(3, 0.5), (4, 0.125)]
    assert [event.step for event in board.Scalars("lr")] == [3]
    assert board.file_version == 2.0
    file.close()


def test_two_files_of_one_process_have_different_names(tmp_path):
    files = [EventFile(tmp_path, filename_suffix=".mine") for _ in range(2)]
    for file in files:
        file.flush()
        file.close()
    assert len(list(tmp_path.glob("events.out.tfevents.*.mine"))) == 2
