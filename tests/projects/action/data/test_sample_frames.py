"""The frames that MMAction2 0.x and 1.x choose, recorded, and the rules for what was not recorded."""

import numpy as np
import pytest

from action_golden import golden
from steploop.projects.action.data.sample_frames import SampleClipsByTime, SampleFrames, within

RNG = np.random.default_rng(0)


def test_test_clips_are_those_of_mmaction():
    figures = golden("sample_frames.npz")
    place = 0
    for case in figures["cases"].tolist():
        version, total, clip_len, interval, num_clips, repeat_last, twice, start_index, count = case
        sample = SampleFrames(
            clip_len,
            interval,
            num_clips,
            test_mode=True,
            twice_sample=bool(twice),
            version=f"{version}.x",
            out_of_bound_opt="repeat_last" if repeat_last else "loop",
        )
        assert np.array_equal(sample(total, RNG) + start_index, figures["indices"][place : place + count]), case
        place += count
    assert place == len(figures["indices"])


def test_training_offsets_stay_in_the_recorded_range_and_reach_its_ends():
    figures = golden("sample_frames.npz")
    place, rng = 0, np.random.default_rng(0)
    for total, clip_len, interval, num_clips in figures["train_cases"].tolist():
        lowest = figures["train_lowest"][place : place + num_clips]
        highest = figures["train_highest"][place : place + num_clips]
        place += num_clips
        sample = SampleFrames(clip_len, interval, num_clips)
        drawn = np.array([sample.offsets(total, rng) for _ in range(1500 if total < 100 else 100)])
        assert (drawn >= lowest).all()
        assert (drawn <= highest).all()
        if total < 100:
            assert (drawn.min(axis=0) == lowest).all(), (total, clip_len, interval, num_clips)
            assert (drawn.max(axis=0) == highest).all(), (total, clip_len, interval, num_clips)


def test_the_same_random_numbers_give_the_same_frames():
    sample = SampleFrames(4, 2, 3, temporal_jitter=True)
    first, again = (sample(100, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == (12,)


def test_a_target_rate_stretches_the_clip():
    sample = SampleFrames(5, 2, test_mode=True, version="1.x", target_fps=30)
    at_30, at_60 = sample(1000, RNG, fps=30), sample(1000, RNG, fps=60)
    assert at_60[-1] - at_60[0] == pytest.approx(2 * (at_30[-1] - at_30[0]), abs=2)
    with pytest.raises(ValueError, match="rate of each video"):
        sample(1000, RNG)


def test_keep_tail_frames_reaches_the_last_place():
    sample, rng = SampleFrames(1, 1, 3, keep_tail_frames=True), np.random.default_rng(0)
    drawn = np.array([sample.offsets(11, rng) for _ in range(500)])
    assert drawn.max() == 10


def test_clips_by_time_cover_the_same_seconds():
    sample = SampleClipsByTime(8, 8, test_mode=True, num_clips=2)
    for fps in (25, 50):
        frames = sample(int(20 * fps), RNG, fps=fps).reshape(2, 8)
        assert (frames[0, -1] - frames[0, 0]) / fps == pytest.approx(64 / 30, abs=2 / fps)
        assert frames[1, 0] == int((20 * fps - 64 * fps / 30) / 2)
    short = sample(10, RNG, fps=25)
    assert short.max() == 9
    assert (np.diff(short[:8]) >= 0).all()


def test_out_of_bound():
    frames = np.array([[3, 5, 7], [9, 11, 13]])
    assert within(frames, 6, "loop").tolist() == [[3, 5, 1], [3, 5, 1]]
    assert within(frames, 6, "repeat_last").tolist() == [[3, 5, 5], [0, 0, 0]]


@pytest.mark.parametrize(
    "arguments",
    [{"clip_len": 0}, {"num_clips": 0}, {"out_of_bound_opt": "stop"}, {"version": "2.x"}]
    + [{"version": "1.x", "twice_sample": True}],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="is|are"):
        SampleFrames(**{"clip_len": 4, **arguments})
