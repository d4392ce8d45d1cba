"""Exact frames: the numbers that are drawn into the frames, and the same bits with and without seeking."""

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from shared_files import shared
from steploop.data.video import VideoError, VideoIndex, index_video, read_frames, scaled_size
from steploop.data.video import decode as decode_module

av = pytest.importorskip("av", reason="PyAV is not installed")

# From EXPECTED.txt: number of frames, number of the first one. odd_size.mp4 is too small for the 8 blocks.
WHOLE = {
    "edit_list.mp4": (40, 20), "five_frames.mp4": (5, 0), "h264_gop12_b2.mp4": (60, 0), "h264_intra.mp4": (60, 0),
    "h264_one_keyframe.mp4": (60, 0), "h264_open_gop.mp4": (60, 0), "hevc.mp4": (60, 0), "mjpeg.avi": (60, 0),
    "mpeg4.avi": (60, 0), "no_frame_count.mkv": (60, 0), "one_frame.mp4": (1, 0), "rate_29.97.mp4": (60, 0),
    "ten_bits.mp4": (60, 0), "truncated.mkv": (20, 0), "variable_rate.mp4": (60, 0), "vp9.webm": (60, 0),
    "with_audio.mp4": (60, 0), "yuv444.mp4": (60, 0), "odd_size.mp4": (60, None),
}  # fmt: skip
BROKEN = {
    "audio_only.mp4": "no video stream",
    "empty.mp4": "empty",
    "text.mp4": "cannot be decoded",
    "truncated_no_moov.mp4": "cannot be decoded",
}


def oddity(name):
    return shared("data/action/oddities") / name


def drawn_numbers(frames):
    blocks = frames[:, 8, 4:132:16].mean(axis=-1) > 127
    return (blocks * (1 << np.arange(8))).sum(axis=-1).tolist()


@pytest.mark.parametrize("name", WHOLE)
def test_every_frame_has_its_number_and_seeking_changes_no_bit(name):
    path, (count, first) = oddity(name), WHOLE[name]
    index = index_video(path)
    assert index.num_frames == count
    frames = read_frames(path, range(count), index=index, seek=False)
    if first is not None:
        assert drawn_numbers(frames) == list(range(first, first + count))
    rng = random.Random(name)
    for _ in range(6):
        wanted = [rng.randrange(count) for _ in range(rng.randint(1, 5))]
        assert np.array_equal(read_frames(path, wanted, index=index), frames[wanted])


def test_the_motion_clips_have_the_same_bits_with_seeking(tmp_path):
    import zipfile

    with zipfile.ZipFile(shared("data/action/motion8.zip")) as archive:
        names = [name for name in archive.namelist() if name.endswith(".mp4")][::170]
        archive.extractall(tmp_path, names)
    for name in names:
        index = index_video(tmp_path / name)
        frames = read_frames(tmp_path / name, range(index.num_frames), index=index, seek=False)
        assert np.array_equal(read_frames(tmp_path / name, [47, 40, 2], index=index), frames[[47, 40, 2]])


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_opened_is_named(name):
    with pytest.raises(VideoError, match=f"{name}.*{BROKEN[name]}"):
        index_video(oddity(name))


def test_a_damaged_frame_is_named_and_the_others_are_exact():
    path = oddity("damaged.avi")
    index = index_video(path)
    with pytest.raises(VideoError, match=r"damaged.avi is damaged: 1 of .* number 40 of 58"):
        read_frames(path, range(index.num_frames), index=index)
    whole = [number for number in range(index.num_frames) if number != 40]
    frames = read_frames(path, whole, index=index, seek=False)
    assert np.array_equal(read_frames(path, whole[50:], index=index), frames[50:])


def test_seeking_is_used_only_where_it_skips_frames(monkeypatch):
    path = oddity("h264_gop12_b2.mp4")
    index = index_video(path)
    assert decode_module._groups(index, [0, 3, 30, 59]) == [[0, 3], [30], [59]]
    assert decode_module._groups(index, [0, 10, 20, 30]) == [[0, 10, 20, 30]]
    assert index.keyframe_before(30) == 24


def test_an_index_that_lies_about_keyframes_still_gives_the_right_frames():
    path = oddity("h264_one_keyframe.mp4")
    index = index_video(path)
    wrong = index._replace(is_key=np.ones(60, dtype=bool))
    assert drawn_numbers(read_frames(path, [50, 51], index=wrong)) == [50, 51]


def test_without_timestamps_frames_are_counted():
    path = oddity("mpeg4.avi")
    index = VideoIndex(np.arange(60), np.arange(60) == 0, Fraction(1, 25), 128, 96, 25.0, has_timestamps=False)
    assert drawn_numbers(read_frames(path, [7, 3, 59], index=index)) == [7, 3, 59]


def test_frames_come_scaled_in_the_order_asked_for():
    frames = read_frames(oddity("h264_gop12_b2.mp4"), [5, 2, 5], short_side=48)
    assert frames.shape == (3, 48, 64, 3)
    assert np.array_equal(frames[0], frames[2])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("numbers", [[60], [-1], [0, 100]])
def test_a_number_out_of_range_is_refused(numbers):
    with pytest.raises(IndexError, match="has the frames 0 to 59"):
        read_frames(oddity("h264_gop12_b2.mp4"), numbers)


def test_no_numbers_are_refused():
    with pytest.raises(ValueError, match="no frame"):
        read_frames(oddity("one_frame.mp4"), [])


def test_sizes_are_rounded_as_mmaction_rounds_them():
    figures = np.load(shared("golden/action") / "geometry.npz")
    for height, width, first, second, new_height, new_width in figures["resize_keep_ratio"]:
        if first == -1:
            assert scaled_size(width, height, second) == (new_width, new_height)
    assert scaled_size(100, 50, 0) == (100, 50)


def test_memory_and_open_files_stay_the_same_over_2000_samples():
    path, broken = oddity("five_frames.mp4"), [oddity("text.mp4"), oddity("truncated_no_moov.mp4"), oddity("empty.mp4")]
    index = index_video(path)

    def read(count):
        for number in range(count):
            if number % 4:
                with pytest.raises(VideoError):
                    index_video(broken[number % 3])
            else:
                read_frames(path, [4, 0], index=index, short_side=32)

    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    read(200)  # what is allocated once
    files, before = len(list(Path("/proc/self/fd").iterdir())), pages()
    read(2000)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    assert pages() - before < 1024  # 4 MiB of 4 kB pages; one container left open holds more than 100 kB
