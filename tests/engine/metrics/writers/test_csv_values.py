import copy
import csv
import math
import struct

import pytest

from steploop.engine import CallbackHook, CSVWriter, EventStorage, PeriodicWriter
from tiny import tiny_trainer


class KilledError(Exception):
    pass


def rows(path):
    with path.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def written(path, storage):
    with storage:
        writer = CSVWriter(path)
        writer.write()
        writer.close()
    return path.read_text()


def test_every_value_is_a_row(tmp_path):
    storage = EventStorage()
    for step in range(3):
        storage.iter = step
        storage.put_scalar("loss", step / 4)
        if step == 1:
            storage.put_scalar("accuracy", 50.0)
    with storage:
        writer = CSVWriter(tmp_path / "m.csv")
        writer.write()
        writer.write()
        storage.iter = 3
        storage.put_scalar("loss", 7)
        writer.write()
        writer.close()
        writer.close()
    assert (tmp_path / "m.csv").read_bytes() == (
        b"iteration,name,value\n0,loss,0.0\n1,accuracy,50.0\n1,loss,0.25\n2,loss,0.5\n3,loss,7.0\n"
    )


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.nan, math.inf, -math.inf])
def test_reading_gives_the_same_bits(tmp_path, value):
    storage = EventStorage()
    storage.put_scalar("a", value)
    written(tmp_path / "m", storage)
    assert struct.pack("d", float(rows(tmp_path / "m")[1][2])) == struct.pack("d", value)


def test_a_row_is_a_line_whatever_the_name(tmp_path):
    storage = EventStorage()
    for name in ("one,two", 'a "b"', "first\nsecond\r\nthird"):
        storage.put_scalar(name, 1.0)
    assert written(tmp_path / "m", storage).count("\n") == 4
    assert [row[1] for row in rows(tmp_path / "m")[1:]] == ['a "b"', "first second third", "one,two"]


def test_two_values_of_one_iteration_stay_in_their_order(tmp_path):
    storage = EventStorage()
    storage.put_scalar("a", 9.0)
    storage.put_scalar("a", 1.0)
    assert written(tmp_path / "m", storage).splitlines()[1:] == ["0,a,9.0", "0,a,1.0"]


def lasting(path):
    return [row for row in rows(path) if row[1] not in ("time", "data_time")]


def test_a_resumed_run_cuts_what_it_writes_again(tmp_path):
    """The run is killed after step 10; its last checkpoint is from after step 7, between two writes."""
    states = []

    def remember(trainer):
        if trainer.iter == 7:
            states.append(copy.deepcopy((trainer.state_dict(), trainer.model.state_dict())))
        if trainer.iter == 10:
            raise KilledError

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    whole = tiny_trainer()
    whole.register_hooks([PeriodicWriter([CSVWriter(straight)], period=3)])
    whole.train(0, 14)

    trainer = tiny_trainer()
    trainer.register_hooks([PeriodicWriter([CSVWriter(killed)], period=3), CallbackHook(after_step=remember)])
    with pytest.raises(KilledError):
        trainer.train(0, 14)
    assert rows(killed)[-1][0] == "8"
    with killed.open("a") as file:
        file.write("9,total_lo")

    resumed = tiny_trainer()
    resumed.register_hooks([PeriodicWriter([CSVWriter(killed)], period=3)])
    resumed.load_state_dict(states[0][0])
    resumed.model.load_state_dict(states[0][1])
    resumed.train(8, 14)
    assert lasting(killed) == lasting(straight)
    assert [row[0] for row in lasting(straight) if row[1] == "total_loss"] == [str(step) for step in range(14)]


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("iteration,name,value\n3,a,1.0\n4,a,2.0\n5,a,3.0\n", "iteration,name,value\n3,a,1.0\n4,a,2.0\n"),
        ("iteration,name,value\n4,a,2.0", "iteration,name,value\n"),
        ("iteration,name,value\n4\n4,a,2.0\n", "iteration,name,value\n"),
        ("iteration,name,value\n-4,a,2.0\n", "iteration,name,value\n"),
        ("iteration,name,value\n" + "9" * 5000 + ",a,2.0\n", "iteration,name,value\n"),
        ('{"iteration": 3}\n', ""),
        ("", ""),
    ],
)
def test_the_cut_is_before_the_first_row_that_is_unknown(tmp_path, content, kept):
    path = tmp_path / "m"
    path.write_text(content)
    writer = CSVWriter(path)
    writer.load_state_dict({"last_write": 4})
    writer.open()
    writer.close()
    assert path.read_text() == kept


def test_the_header_comes_back_where_all_was_cut(tmp_path):
    (tmp_path / "m").write_text("damaged")
    writer = CSVWriter(tmp_path / "m")
    writer.load_state_dict({"last_write": 4})
    with EventStorage(5) as storage:
        storage.put_scalar("a", 1.0)
        writer.write()
        writer.close()
    assert (tmp_path / "m").read_text() == "iteration,name,value\n5,a,1.0\n"
