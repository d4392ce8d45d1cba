"""What all trackers do, with one that only remembers."""

import sys
import threading
from types import ModuleType

import numpy as np
import pytest
import torch

from steploop.config import get_cfg
from steploop.engine import CallbackHook, EventStorage, PeriodicWriter
from steploop.projects.trackers import mlflow_writer, tracker, wandb_writer
from steploop.projects.trackers.tracker import Tracker, to_pixels
from tiny import tiny_trainer


class Remembers(Tracker):
    def __init__(self, cfg):
        super().__init__(cfg, "a_tool")
        self.calls = []
        self.logged = -1  # what the tracker says that it has already
        self.failing = ()

    def _note(self, *call):
        if call[0] in self.failing:
            raise OSError(f"no route to {call[0]}")
        self.calls.append(call)

    def start(self, run_id):
        self._note("start", run_id)
        return run_id or "new", self.logged

    def log(self, iteration, scalars, pictures):
        self._note("log", iteration, sorted(scalars), sorted(pictures))

    def finish(self, *, is_success):
        self._note("finish", is_success)


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_tool", ModuleType("a_tool"))
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path / "my run")
    return lambda: Remembers(cfg)


def train(writer, end, *, start=0, fail_at=None, picture_at=None, state=None):
    def act(trainer):
        if trainer.iter == picture_at:
            trainer.storage.put_image("picture", torch.zeros(3, 1, 1))
        trainer.storage.put_scalar("lr", 0.5, smoothing_hint=False)
        if trainer.iter == fail_at:
            raise RuntimeError("this run fails")

    trainer = tiny_trainer()
    trainer.register_hooks([CallbackHook(after_step=act), PeriodicWriter([writer], period=2)])
    if state is not None:
        writer.load_state_dict(state)
    trainer.train(start, end)


def steps(writer):
    return [call[1] for call in writer.calls if call[0] == "log"]


def test_a_run_is_started_at_the_first_write_and_ended(build):
    writer = build()
    assert writer.run_name == "my run"
    train(writer, 4)
    scalars = ["data_time", "lr", "total_loss"]
    assert writer.calls == [("start", None), ("log", 1, scalars, []), ("log", 3, scalars, []), ("finish", True)]


def test_an_iteration_is_one_call_with_its_pictures_in_order(build):
    writer = build()
    with EventStorage(3) as storage:
        storage.put_scalars(a=1.0, b=2.0)
        storage.put_image("late", torch.zeros(3, 2, 2))
        storage.put_scalar("early", 1.0, cur_iter=1)
        storage.iter = 2
        storage.put_image("between", torch.zeros(3, 2, 2))
        writer.write()
        writer.write()
        writer.close()
    assert writer.calls[1:-1] == [
        ("log", 1, ["early"], []),
        ("log", 2, [], ["between"]),
        ("log", 3, ["a", "b"], ["late"]),
    ]


def test_a_run_that_failed_is_ended_as_such(build):
    writer = build()
    with pytest.raises(RuntimeError, match="this run fails"):
        train(writer, 10, fail_at=5)
    assert writer.calls[-1] == ("finish", False)
    assert steps(writer) == [1, 3, 5]  # the step after which a hook failed is complete: it is written and saved


def test_a_success_inside_of_a_handler_is_one(build):
    writer = build()
    try:
        raise OSError("an earlier attempt")
    except OSError:
        train(writer, 4)
    assert writer.calls[-1] == ("finish", True)


def test_a_run_that_writes_nothing_is_not_started(build):
    writer = build()
    with pytest.raises(RuntimeError):
        train(writer, 4, fail_at=0)
    assert writer.calls == []
    writer.flush()


def test_a_resumed_run_continues(build):
    first, second = build(), build()
    train(first, 4)
    state = first.state_dict()
    assert state == {"last_write": 3, "run_id": "new"}
    train(second, 8, start=4, state=state)
    assert second.calls[0] == ("start", "new")
    assert steps(second) == [5, 7]


def test_what_the_tracker_has_already_is_not_logged_again(build):
    writer = build()
    writer.logged = 5
    train(writer, 10, start=4, state={"last_write": 3, "run_id": "new"}, picture_at=4)
    assert steps(writer) == [7, 9]


def test_a_writer_can_be_used_again(build):
    writer = build()
    train(writer, 4)
    train(writer, 8, start=4)
    assert [call for call in writer.calls if call[0] in ("start", "finish")] == [
        ("start", None), ("finish", True), ("start", "new"), ("finish", True)
    ]  # fmt: skip


def test_a_run_that_cannot_be_started_is_reported_and_the_training_goes_on(build, caplog):
    writer = build()
    writer.failing = ("start",)
    train(writer, 4)
    assert "could not be written" in caplog.text and "no route to start" in caplog.text


@pytest.mark.parametrize("failing", [("log",), ("finish",), ("log", "finish")])
def test_what_fails_later_is_one_warning(build, failing, caplog):
    writer = build()
    writer.failing = failing
    train(writer, 10)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    assert f"no route to {failing[0]}" in caplog.text


def test_a_tool_that_does_not_answer_is_not_asked_to_finish(build, monkeypatch, caplog):
    stuck = threading.Event()
    monkeypatch.setattr(tracker, "CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(tracker, "FLUSH_SECONDS", 0.01)
    monkeypatch.setattr(Remembers, "log", lambda *args: stuck.wait())
    writer = build()
    train(writer, 4)
    stuck.set()
    assert writer.calls == [("start", None)]
    assert "did not answer" in caplog.text


def test_flush_waits_for_what_was_logged(build):
    writer = build()
    with EventStorage() as storage:
        storage.put_scalar("a", 1.0)
        writer.write()
        writer.flush()
        assert steps(writer) == [0]
        writer.close()


def test_pixels():
    bytes_ = torch.arange(24, dtype=torch.uint8).view(3, 2, 4)
    assert np.array_equal(to_pixels(bytes_), bytes_.permute(1, 2, 0).numpy())
    floats = to_pixels(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).view(1, 1, 5).expand(3, 1, 5))
    assert floats.dtype == np.uint8 and floats.shape == (1, 5, 3)
    assert floats[0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("name", "make"), [("wandb", wandb_writer), ("mlflow", mlflow_writer)])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, name, make):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    cfg = get_cfg()
    cfg.OUTPUT_DIR = str(tmp_path)
    with pytest.raises(RuntimeError, match=rf"'{name}' needs the package {name}: pip install -e '.\[trackers\]'"):
        make(cfg)
