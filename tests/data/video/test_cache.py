import numpy as np
import pytest

from steploop.data.video import FrameCache

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"a video")
    return path


class Decoder:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return FRAMES


@pytest.mark.parametrize("format", ["raw", "jpeg"])
def test_the_second_reading_decodes_nothing_and_gives_the_same_pixels(tmp_path, video, format):
    cache, decode = FrameCache(tmp_path / "cache", format=format), Decoder()
    first = cache.read(video, [3, 0, 3], decode)
    second = cache.read(video, [3, 0, 3], decode)
    assert decode.calls == 1
    assert np.array_equal(first, second)
    if format == "raw":
        assert np.array_equal(first, FRAMES[[3, 0, 3]])


@pytest.mark.parametrize("format", ["raw", "jpeg"])
def test_what_does_not_fit_has_the_same_pixels(tmp_path, video, format):
    full, decode = FrameCache(tmp_path / "none", format=format, mebibytes=0), Decoder()
    kept = FrameCache(tmp_path / "cache", format=format).read(video, [1, 2], Decoder())
    assert np.array_equal(full.read(video, [1, 2], decode), kept)
    full.read(video, [1, 2], decode)
    assert decode.calls == 2
    assert full.nbytes() == 0


def test_the_folder_stays_within_its_limit(tmp_path):
    cache = FrameCache(tmp_path / "cache", format="raw", mebibytes=2.5 * FRAMES.nbytes / 2**20)
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
        cache.read(tmp_path / name, [0], Decoder())
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert cache.nbytes() <= 2.5 * FRAMES.nbytes


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"x" + data[1:], lambda data: b""])
def test_a_damaged_file_is_made_again(tmp_path, video, damage):
    cache, decode = FrameCache(tmp_path / "cache", format="raw"), Decoder()
    cache.read(video, [0], decode)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert np.array_equal(cache.read(video, [5], decode), FRAMES[[5]])
    assert decode.calls == 2


def test_a_changed_video_is_decoded_again(tmp_path, video):
    cache, decode = FrameCache(tmp_path / "cache"), Decoder()
    cache.read(video, [0], decode)
    video.write_bytes(b"another video")
    cache.read(video, [0], decode)
    assert decode.calls == 2


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="raw or jpeg"):
        FrameCache(tmp_path, format="png")
