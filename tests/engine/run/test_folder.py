import datetime
import json

from steploop.engine.run.folder import holds_run, start_run

NOON = datetime.datetime(2030, 1, 2, 12, 0, 0)


def test_a_new_folder_gets_a_manifest(tmp_path):
    assert start_run(tmp_path / "a" / "b", now=NOON) is None
    manifest = json.loads((tmp_path / "a" / "b" / "manifest.json").read_text())
    assert manifest["started"] == "2030-01-02T12:00:00"
    assert holds_run(tmp_path / "a" / "b")


def test_an_earlier_run_is_moved_whole_and_never_mixed(tmp_path):
    start_run(tmp_path, now=NOON)
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("deep")
    moved = start_run(tmp_path, now=NOON)
    assert moved == tmp_path / "previous" / "2030-01-02T12-00-00"
    assert (moved / "metrics.json").read_text() == "old"
    assert (moved / "sub" / "file").read_text() == "deep"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "previous"]


def test_two_runs_of_the_same_second_both_stay(tmp_path):
    for _ in range(3):
        start_run(tmp_path, now=NOON)
    names = {path.name for path in (tmp_path / "previous").iterdir()}
    assert names == {"2030-01-02T12-00-00", "2030-01-02T12-00-00_2"}


def test_a_run_without_a_readable_manifest_is_moved_too(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    (tmp_path / "last_checkpoint").write_text("x")
    assert (start_run(tmp_path) / "last_checkpoint").read_text() == "x"


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert start_run(tmp_path) is None
    assert (tmp_path / "notes.txt").exists()
