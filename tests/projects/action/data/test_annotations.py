import json

import pytest

from steploop.config import ConfigError
from steploop.projects.action.data.annotations import (
    check_labels,
    read_class_folders,
    read_classes,
    read_csv,
    read_json,
    read_list,
)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_of_videos(tmp_path):
    path = write(tmp_path / "list.txt", "a/b.mp4 3\n\nwith space/c d.mp4 0\n")
    found = read_list(path, "videos")
    assert [(item.path, item.labels) for item in found.items] == [
        ("videos/a/b.mp4", (3,)),
        ("videos/with space/c d.mp4", (0,)),
    ]
    assert found.places[1] == f"{path}, line 3"
    assert found.items[0].label == 3


def test_lists_of_frames(tmp_path):
    found = read_list(write(tmp_path / "list.txt", "dir 120 3\n"), frames=True, start_index=0)
    assert found.items[0][:2] == ("dir", (3,))
    assert (found.items[0].first_frame, found.items[0].num_frames) == (0, 120)
    found = read_list(write(tmp_path / "list.txt", "dir 7 120 3\n"), frames=True, with_offset=True)
    assert (found.items[0].first_frame, found.items[0].num_frames, found.items[0].is_folder) == (7, 120, True)
    found = read_list(write(tmp_path / "list.txt", "dir 120 3\n"), frames=True)
    assert found.items[0].first_frame == -1


def test_several_labels(tmp_path):
    found = read_list(write(tmp_path / "list.txt", "a 1.mp4 3 5\nb.mp4 0\n"), multi_class=True)
    assert [(item.path, item.labels) for item in found.items] == [("a 1.mp4", (3, 5)), ("b.mp4", (0,))]
    found = read_list(write(tmp_path / "list.txt", "dir 30 1 2\n"), frames=True, multi_class=True)
    assert (found.items[0].num_frames, found.items[0].labels) == (30, (1, 2))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a.mp4 0\nb.mp4\n", {}, "line 2: expected 'video label'"),
        ("a.mp4 0\nb.mp4 one\n", {}, "line 2: expected a number, came 'one'"),
        ("dir 3\n", {"frames": True}, "line 1: expected 'folder frames label'"),
        ("dir 1 3\n", {"frames": True, "with_offset": True}, "line 1: expected 'folder first frames label'"),
        ("dir 0 3\n", {"frames": True}, "line 1: a folder of 0 frames"),
        ("a.mp4\n", {"multi_class": True}, "line 1"),
        ("\n\n", {}, "names no video"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, options, message):
    with pytest.raises(ConfigError, match=message):
        read_list(write(tmp_path / "list.txt", text), **options)


def test_files_that_are_missing_or_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.txt does not exist"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no text file"):
        read_list(tmp_path / "bytes.txt")


def test_json(tmp_path):
    entries = [{"filename": "a.mp4", "label": 2}, {"frame_dir": "b", "label": [0, 1], "total_frames": 9}]
    found = read_json(write(tmp_path / "x.json", json.dumps(entries)), "p", start_index=1)
    assert [(i.path, i.labels, i.is_folder, i.num_frames) for i in found.items] == [
        ("p/a.mp4", (2,), False, 0), ("p/b", (0, 1), True, 9)
    ]  # fmt: skip
    for text, message in [("[{", "line 1: no JSON"), ("{}", "expected a list"), ('[{"label": 1}]', "entry 0")]:
        with pytest.raises(ConfigError, match=message):
            read_json(write(tmp_path / "x.json", text))


def test_class_folders(tmp_path):
    for name in ("jump/a.mp4", "jump/notes.txt", "run/deep/b.AVI", ".hidden/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_class_folders(tmp_path)
    assert found.classes == ("jump", "run")
    assert [(item.path, item.label) for item in found.items] == [
        (str(tmp_path / "jump/a.mp4"), 0), (str(tmp_path / "run/deep/b.AVI"), 1)
    ]  # fmt: skip
    assert read_class_folders(tmp_path, ("walk", "run", "jump")).items[0].label == 2
    with pytest.raises(ConfigError, match="'jump', which is none of the classes"):
        read_class_folders(tmp_path, ("run",))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_class_folders(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="names no video"):
        read_class_folders(tmp_path / "empty")


def test_csv(tmp_path):
    found = read_csv(write(tmp_path / "x.csv", "label,path\nrun,a.mp4\n\njump,b.mp4\n"))
    assert found.classes == ("jump", "run")
    assert [(item.path, item.label) for item in found.items] == [("a.mp4", 1), ("b.mp4", 0)]
    assert read_csv(write(tmp_path / "x.csv", "path,label\na.mp4,7\n")).items[0].label == 7
    for text, options, message in [
        ("a,b\n", {}, "line 1: expected the columns"),
        ("path,label\na.mp4,\n", {}, "line 2"),
        ("path,label\na.mp4,runn\n", {"classes": ("run", "jump")}, "line 2: 'runn' is no class; did you mean 'run'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            read_csv(write(tmp_path / "x.csv", text), **options)


def test_names_of_classes(tmp_path):
    assert read_classes(write(tmp_path / "c.txt", "0 jump high\n1 run\n")) == ("jump high", "run")
    assert read_classes(write(tmp_path / "c.txt", "jump\nrun fast\n")) == ("jump", "run fast")


def test_labels_beyond_the_classes_are_named_with_their_line(tmp_path):
    found = read_list(write(tmp_path / "list.txt", "a 1\nb 2\nc 3\n"))
    with pytest.raises(ConfigError, match=r"line 3: the label 3 is none of the model's 3 classes.*count from 1"):
        check_labels(found, 3)
    with pytest.raises(ConfigError, match="line 2: the label 2 is none of the model's 2 classes, 0 to 1"):
        check_labels(found, 2)
    check_labels(found, 4)
