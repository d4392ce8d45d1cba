import json

import pytest

from steploop.engine import EventWriter, JSONWriter, hooks
from tiny import tiny_trainer


class Recorder(EventWriter):
    def __init__(self):
        self.calls = []

    def write(self):
        self.calls.append("write")

    def close(self):
        self.calls.append("close")


def test_json_lines_of_a_run_with_an_evaluation(tmp_path):
    trainer = tiny_trainer()
    trainer.register_hooks(
        [
            hooks.EvalHook(0, lambda: {"metric": 100}),
            hooks.PeriodicWriter([JSONWriter(tmp_path / "metrics.json")]),
        ]
    )
    trainer.train(0, 50)
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [19, 39, 49, 50]
    assert lines[-1] == {"iteration": 50, "metric": 100.0}


def test_period_zero_writes_at_the_end_only():
    writer = Recorder()
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.PeriodicWriter([writer], period=0)])
    trainer.train(0, 50)
    assert writer.calls == ["write", "write", "close"]


def test_a_run_that_failed_writes_no_line_out_of_turn_but_closes():
    writer = Recorder()

    def fail(trainer):
        if trainer.iter == 25:
            raise RuntimeError

    trainer = tiny_trainer()
    trainer.register_hooks([hooks.PeriodicWriter([writer]), hooks.CallbackHook(before_step=fail)])
    with pytest.raises(RuntimeError):
        trainer.train(0, 50)
    assert writer.calls == ["write", "close"]


def test_what_is_no_writer_is_refused():
    with pytest.raises(TypeError, match="subclass of EventWriter"):
        hooks.PeriodicWriter([print])
