import datetime
import json
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzzing import CORRECT, METRICS, RECORDS, observe, tally
from fuzzing.run_files import whole_lines
from steploop.engine.defaults.records import load_results
from steploop.engine.metrics.writers.json_lines import cut_lines
from steploop.engine.run.folder import start_run


def line(iteration, value):
    return json.dumps({"iteration": iteration, "loss": value}).encode()


LINES = st.one_of(
    st.binary(max_size=30),
    st.builds(line, st.integers(-3, 12), st.floats()),
    st.sampled_from((b"", b"{}", b"[]", b'{"iteration": null}', b'{"iteration": "3"}', b"[" * 5000)),
)


def test_mutated_metrics(box):
    assert tally(METRICS, box, 300) == {CORRECT: 300}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=8), last=st.integers(-1, 10), ends=st.booleans())
def test_any_lines(box, lines, last, ends):
    path = box.clear() / "metrics.json"
    data = b"\n".join(lines) + b"\n" * ends
    path.write_bytes(data)
    assert observe(lambda: cut_lines(path, last), (), box) == CORRECT
    assert path.read_bytes() == whole_lines(data, last)


def test_mutated_run_folders(box):
    assert tally(RECORDS, box, 150) == {CORRECT: 150}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(started=st.one_of(st.text(max_size=40), st.integers(), st.none(), st.lists(st.text(max_size=3), max_size=3)))
@example("../../outside/moved")
@example("/tmp/moved")
@example("\0")
@example("n" * 300)
def test_a_manifest_does_not_say_where_a_run_is_moved(box, started):
    # Its start time, whatever it was, became a part of the path.
    (box.clear() / "manifest.json").write_text(json.dumps({"started": started}))

    def start():
        moved = start_run(box.run)
        assert moved is not None and moved.parent == box.run / "previous"

    assert observe(start, (), box) == CORRECT


def test_a_link_to_nowhere_does_not_keep_a_run_from_its_folder(tmp_path):
    (tmp_path / "log.txt").symlink_to("nowhere")
    (tmp_path / "metrics.json").write_text("old")
    os.utime(tmp_path / "metrics.json", (1e9, 1e9))
    moved = start_run(tmp_path)
    assert moved.name == datetime.datetime.fromtimestamp(1e9).isoformat().replace(":", "-")
    assert sorted(path.name for path in moved.iterdir()) == ["log.txt", "metrics.json"]


@pytest.mark.parametrize("text", ["[" * 5000, '{"iteration": 7, "results": "all fine"}', "[7]", '{"iteration": 7}'])
def test_results_that_are_none(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    assert load_results(tmp_path, 7) is None
