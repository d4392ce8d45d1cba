import datetime
import json

from steploop.engine.run.folder import holds_run, record_output, start_run

NOON = datetime.datetime(2030, 1, 2, 12, 0, 0)


def test_a_new_folder_gets_a_manifest(tmp_path):
    assert start_run(tmp_path / "a" / "b", now=NOON) is None
    manifest = json.loads((tmp_path / "a" / "b" / "manifest.json").read_text())
    assert manifest["started"] == "2030-01-02T12:00:00"
    assert holds_run(tmp_path / "a" / "b")


def test_an_earlier_run_is_moved_whole_and_never_mixed(tmp_path):
    start_run(tmp_path, now=NOON)
    (tmp_path / "metrics.json").write_text("old")
    (tmp_path / "profiler").mkdir()
    (tmp_path / "profiler" / "file").write_text("deep")
    moved = start_run(tmp_path, now=NOON)
    assert moved == tmp_path / "previous" / "2030-01-02T12-00-00"
    assert (moved / "metrics.json").read_text() == "old"
    assert (moved / "profiler" / "file").read_text() == "deep"
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


def test_the_files_of_others_stay_where_they_are(tmp_path):
    for name in ("train.py", "model_r50.pth", "config.yaml", "results.json"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".git").mkdir()
    start_run(tmp_path)
    for name in ("metrics.json", "model_0000004.pth", "picture.png", "weights.pth", "mine.pth"):
        (tmp_path / name).write_text("the run's")
    record_output(tmp_path, "picture.png")
    (tmp_path / "notes.txt").write_text("mine")
    moved = start_run(tmp_path, is_checkpoint=lambda path: path.name == "weights.pth")
    wrote = ["manifest.json", "metrics.json", "model_0000004.pth", "picture.png", "weights.pth"]
    assert sorted(path.name for path in moved.iterdir()) == wrote
    kept = [".git", "config.yaml", "manifest.json", "mine.pth", "model_r50.pth", "notes.txt", "previous"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*kept, "results.json", "train.py"]


def test_an_output_is_noted_once_and_only_where_a_run_is(tmp_path):
    record_output(tmp_path, "a.png")
    assert not list(tmp_path.iterdir())
    start_run(tmp_path)
    record_output(tmp_path, "a.png")
    record_output(tmp_path, "a.png")
    assert json.loads((tmp_path / "manifest.json").read_text())["outputs"] == ["a.png"]


def test_earlier_runs_are_bounded_and_finished_ones_stay(tmp_path):
    for hour in range(6):
        start_run(tmp_path, keep=2, now=NOON.replace(hour=hour))
        (tmp_path / "metrics.json").write_text(str(hour))
        if hour == 1:
            (tmp_path / "model_final.pth").write_text("finished")
    start_run(tmp_path, keep=2, now=NOON)
    assert sorted(run.name[11:13] for run in (tmp_path / "previous").iterdir()) == ["01", "04", "05"]
    start_run(tmp_path, keep=0, now=NOON)
    assert len(list((tmp_path / "previous").iterdir())) == 4
