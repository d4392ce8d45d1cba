import numpy as np
import pytest

from shared_files import shared
from steploop.data.video import VideoError, index_video, read_frames, shrink_video

pytest.importorskip("av", reason="PyAV is not installed")


@pytest.mark.parametrize("name", ["h264_one_keyframe.mp4", "edit_list.mp4", "variable_rate.mp4", "vp9.webm"])
def test_a_copy_has_the_same_frames_at_the_same_times(tmp_path, name):
    source = shared("data/action/oddities") / name
    before = index_video(source)
    assert shrink_video(source, tmp_path / "copy.mp4", short_side=48, keyframes=8) == before.num_frames
    after = index_video(tmp_path / "copy.mp4")
    assert after.num_frames == before.num_frames
    assert (after.width, after.height) == (64, 48)
    assert np.flatnonzero(after.is_key).tolist() == list(range(0, after.num_frames, 8))
    times = [(index.pts - index.pts[0]) * float(index.time_base) for index in (before, after)]
    assert np.abs(times[0] - times[1]).max() < 0.002
    one, other = (
        read_frames(path, [30 % before.num_frames], short_side=48) for path in (source, tmp_path / "copy.mp4")
    )
    assert np.abs(one.astype(int) - other).mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["copy.mp4"]


def test_a_damaged_video_leaves_no_file(tmp_path):
    with pytest.raises(VideoError, match=r"damaged: 57 of its 58 frames decode"):
        shrink_video(shared("data/action/oddities") / "damaged.avi", tmp_path / "copy.mp4")
    assert list(tmp_path.iterdir()) == []
