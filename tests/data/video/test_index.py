import os
import shutil

import numpy as np
import pytest

from shared_files import shared
from steploop.data.video import VideoError, index_video, load_index
from steploop.data.video import index as index_module

pytest.importorskip("av", reason="PyAV is not installed")


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copyfile(shared("data/action/oddities") / "h264_gop12_b2.mp4", path)
    return path


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def test_the_index_is_kept_beside_the_video_and_read_again(video, monkeypatch):
    index = load_index(video)
    assert index.num_frames == 60
    assert index.rate == 25.0
    assert [p.name for p in (video.parent / ".video_index").iterdir()] == ["clip.mp4.npz"]
    monkeypatch.setattr(index_module, "index_video", lambda path: pytest.fail("it was made again"))
    assert equal(load_index(video), index)


def test_a_changed_file_gets_a_new_index(video):
    load_index(video)
    shutil.copyfile(shared("data/action/oddities") / "five_frames.mp4", video)
    assert load_index(video).num_frames == 5


@pytest.mark.parametrize("content", [b"", b"no npz", b"PK\x03\x04"])
def test_a_damaged_index_is_made_again(video, content):
    load_index(video)
    kept = video.parent / ".video_index" / "clip.mp4.npz"
    kept.write_bytes(content)
    assert load_index(video).num_frames == 60
    assert kept.stat().st_size > 100


def test_where_nothing_can_be_written_the_index_is_not_kept(video, tmp_path):
    (tmp_path / "file").touch()
    assert load_index(video, tmp_path / "file").num_frames == 60


def test_packets_of_an_edit_list_are_left_out():
    path = shared("data/action/oddities") / "edit_list.mp4"
    index = index_video(path)
    assert (index.num_frames, int(index.is_key.sum())) == (40, 3)


def test_a_missing_file_a_folder_and_a_pipe_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.mp4 does not exist"):
        load_index(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="is no file"):
        load_index(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="is no file"):
        load_index(tmp_path / "pipe.mp4")
