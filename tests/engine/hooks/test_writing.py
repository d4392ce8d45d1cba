import json

import pytest
import torch

from steploop.engine import EventWriter, JSONWriter, get_event_storage, hooks
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


class Named(EventWriter):
    """Remembers what it was given, and which pictures it saw."""

    def __init__(self, name="anew"):
        self.name = name
        self.seen = []

    def write(self):
        self.seen += [name for name, *_ in get_event_storage().images()]

    def state_dict(self):
        return {"name": self.name}

    def load_state_dict(self, state):
        self.name = state["name"]


class OtherNamed(Named):
    pass


def test_writers_find_their_states_when_others_come_or_go():
    state = hooks.PeriodicWriter([OtherNamed("x"), Named("a"), Recorder(), Named("b")]).state_dict()
    writers = [Recorder(), Named(), Named(), Named()]
    hooks.PeriodicWriter(writers).load_state_dict(state)
    assert [writer.name for writer in writers[1:]] == ["a", "b", "anew"]


def test_pictures_go_when_all_writers_have_seen_them():
    def put(trainer):
        trainer.storage.put_image(f"picture {trainer.iter}", torch.zeros(3, 1, 1))
        trainer.storage.put_histogram("weights", torch.zeros(2))

    writers = [Named(), Named()]
    trainer = tiny_trainer()
    trainer.register_hooks([hooks.PeriodicWriter(writers, period=2), hooks.CallbackHook(after_step=put)])
    trainer.train(0, 3)
    assert writers[0].seen == writers[1].seen == ["picture 0", "picture 1", "picture 2"]
    assert trainer.storage.images() == trainer.storage.histograms() == []
