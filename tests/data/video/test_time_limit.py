import os
import signal

import pytest

from steploop.data.video import VideoTimeout, time_limit


def test_reading_that_hangs_ends_with_the_name_of_the_file():
    reading, writing = os.pipe()
    try:
        with pytest.raises(VideoTimeout, match=r"clip.mp4 took longer than 0.05 s"), time_limit(0.05, "clip.mp4"):
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


def test_what_ends_in_time_leaves_nothing_behind():
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60, "clip.mp4"):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_zero_is_no_limit():
    with time_limit(0, "clip.mp4"):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
