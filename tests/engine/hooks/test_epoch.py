from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from steploop.engine import CommonMetricPrinter, JSONWriter, TensorboardXWriter, hooks
from tiny import tiny_trainer


def run(writers, period=4):
    """Train six steps with an epoch of 2.5."""
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.PeriodicWriter(writers, period), hooks.EpochRecorder(2.5, period)])
    trainer.train(0, 6)
    return trainer


def test_it_is_recorded_where_writers_write():
    storage = run([]).storage
    assert storage.history("epoch").values() == [(1.6, 3), (2.4, 5)]
    assert storage.smoothing_hints()["epoch"] is False


def test_without_a_period_it_is_recorded_at_the_end():
    assert run([], period=0).storage.history("epoch").values() == [(2.4, 5)]


def test_the_console_shows_it(caplog):
    with caplog.at_level("INFO", "steploop"):
        run([CommonMetricPrinter(6)])
    lines = [message for message in caplog.messages if "iter: " in message]
    assert ["epoch: 1.60  iter: 3" in lines[0], "epoch: 2.40  iter: 5" in lines[1]] == [True, True]


def test_the_files_hold_it(tmp_path):
    run([JSONWriter(tmp_path / "metrics.json"), TensorboardXWriter(str(tmp_path))])
    lines = (tmp_path / "metrics.json").read_text().splitlines()
    assert ['"epoch": 1.6, "iteration": 3' in lines[0], '"epoch": 2.4, "iteration": 5' in lines[1]] == [True, True]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(point.step, round(point.value, 3)) for point in events.Scalars("epoch")] == [(3, 1.6), (5, 2.4)]
