import json

from steploop.engine import EventStorage, JSONWriter


def lines(path):
    return [json.loads(line, parse_constant=lambda name: 1 / 0) for line in path.read_text().splitlines()]


def test_lines_are_sorted_by_iteration_and_by_key(tmp_path):
    path = tmp_path / "metrics.json"
    with EventStorage(9) as storage:
        storage.put_scalar("b", 1.0)
        storage.put_scalar("a", 2.0, cur_iter=7)
        storage.put_scalar("A", 3.0)
        writer = JSONWriter(path)
        writer.write()
        writer.write()
        writer.close()
        writer.close()
    assert path.read_text() == '{"a": 2.0, "iteration": 7}\n{"A": 3.0, "b": 1.0, "iteration": 9}\n'


def test_what_is_not_finite_is_null(tmp_path):
    with EventStorage() as storage:
        storage.put_scalar("a", float("nan"))
        storage.put_scalar("b", float("inf"))
        writer = JSONWriter(tmp_path / "m")
        writer.write()
        writer.close()
    assert lines(tmp_path / "m") == [{"a": None, "b": None, "iteration": 0}]


def test_a_restored_writer_goes_on_after_its_last_line(tmp_path):
    first = JSONWriter(tmp_path / "m")
    with EventStorage() as storage:
        storage.put_scalar("a", 1.0)
        first.write()
        state = first.state_dict()
        first.close()
        second = JSONWriter(tmp_path / "m")
        second.load_state_dict(state)
        storage.put_scalar("b", 5.0, cur_iter=0)
        storage.put_scalar("a", 2.0, cur_iter=1)
        second.write()
        second.close()
    assert [line["iteration"] for line in lines(tmp_path / "m")] == [0, 1]
