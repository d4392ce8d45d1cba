import shutil

import numpy as np
import pytest

from shared_files import shared
from steploop.config import ConfigError
from steploop.data.video import FrameCache, VideoError, read_frames
from steploop.projects.action.data.annotations import ClipItem
from steploop.projects.action.data.mapper import ClipMapper, VideoReader
from steploop.projects.action.data.pipeline import Pipeline

pytest.importorskip("av", reason="PyAV is not installed")

STEPS = [
    {"type": "SampleFrames", "clip_len": 4, "frame_interval": 2},
    {"type": "RandomResizedCrop"},
    {"type": "Resize", "scale": [16, 16], "keep_ratio": False},
    {"type": "Flip", "flip_ratio": 0.5},
]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("h264_gop12_b2.mp4", "text.mp4", "mpeg4.avi", "empty.mp4"):
        shutil.copyfile(shared("data/action/oddities") / name, folder / name)
    return folder


def items(folder):
    names = ("h264_gop12_b2.mp4", "text.mp4", "mpeg4.avi", "empty.mp4")
    return [ClipItem(str(folder / name), (label,)) for label, name in enumerate(names)]


def test_a_sample_has_clips_label_and_path_and_follows_from_its_generator(videos):
    mapper = ClipMapper(Pipeline(STEPS), VideoReader())
    first, again, other = (mapper(items(videos)[0], rng(seed)) for seed in (3, 3, 4))
    assert first["imgs"].shape == (1, 3, 4, 16, 16)
    assert first["imgs"].equal(again["imgs"])
    assert not first["imgs"].equal(other["imgs"])
    assert (first["label"], first["broken"], first["path"]) == (0, 0, str(videos / "h264_gop12_b2.mp4"))


def test_test_views_are_crops_then_clips(videos):
    steps = [
        {"type": "SampleFrames", "clip_len": 2, "frame_interval": 1, "num_clips": 2, "test_mode": True},
        {"type": "Resize", "scale": [-1, 32]},
        {"type": "ThreeCrop", "crop_size": 32},
    ]
    pipeline = Pipeline(steps)
    assert (pipeline.num_clips, pipeline.num_crops, pipeline.short_side) == (2, 3, 32)
    item = items(videos)[0]
    clips = ClipMapper(pipeline, VideoReader(short_side=32))(item, rng())["imgs"]
    assert clips.shape == (6, 3, 2, 32, 32)
    frames = read_frames(item.path, pipeline.frames(60, rng()), short_side=32)
    assert np.array_equal(clips[3, :, 1].numpy(), frames[3, :, 10:42].transpose(2, 0, 1))  # the last part, second clip


def test_a_broken_video_is_an_error_that_names_it(videos):
    with pytest.raises(VideoError, match=r"text.mp4 cannot be decoded"):
        ClipMapper(Pipeline(STEPS), VideoReader())(items(videos)[1], rng())


def test_a_replacement_follows_from_the_generator_and_is_counted_and_listed(videos, tmp_path):
    log = tmp_path / "broken.txt"
    mapper = ClipMapper(Pipeline(STEPS), VideoReader(), items=items(videos), broken="replace", broken_file=str(log))
    samples = [mapper(items(videos)[1], rng(seed)) for seed in range(12)]
    assert {sample["label"] for sample in samples} == {0, 2}
    assert min(sample["broken"] for sample in samples) == 1
    assert max(sample["broken"] for sample in samples) > 1
    fresh = ClipMapper(Pipeline(STEPS), VideoReader(), items=items(videos), broken="replace")
    for seed, sample in reversed(list(enumerate(samples))):
        assert fresh(items(videos)[1], rng(seed))["imgs"].equal(sample["imgs"])
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert all(any(name in line for line in lines) for name in ("text.mp4", "empty.mp4"))


def test_the_rule_changes_nothing_of_whole_videos(videos):
    strict = ClipMapper(Pipeline(STEPS), VideoReader())
    kind = ClipMapper(Pipeline(STEPS), VideoReader(), items=items(videos), broken="replace")
    for seed in range(4):
        assert strict(items(videos)[0], rng(seed))["imgs"].equal(kind(items(videos)[0], rng(seed))["imgs"])


def test_where_nothing_can_be_read_the_last_error_is_told(videos):
    mapper = ClipMapper(Pipeline(STEPS), VideoReader(), items=items(videos)[1:2], broken="replace")
    with pytest.raises(VideoError, match=r"21 videos in a row cannot be read.*text.mp4"):
        mapper(items(videos)[1], rng())


def test_a_cache_gives_the_same_pixels(videos, tmp_path):
    plain = ClipMapper(Pipeline(STEPS), VideoReader(short_side=32))
    cached = ClipMapper(
        Pipeline(STEPS), VideoReader(short_side=32, cache=FrameCache(tmp_path / "cache", short_side=32, format="raw"))
    )
    for seed in range(3):
        assert plain(items(videos)[2], rng(seed))["imgs"].equal(cached(items(videos)[2], rng(seed))["imgs"])


def test_frames_of_a_folder_start_where_the_folder_starts(tmp_path):
    from PIL import Image

    for number in range(5, 25):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / f"f_{number}.png")
    item = ClipItem(str(tmp_path), (1,), True, "f_{}.png")
    steps = [{"type": "SampleFrames", "clip_len": 3, "frame_interval": 2, "test_mode": True}]
    clip = ClipMapper(Pipeline(steps), VideoReader())(item, rng())["imgs"]
    assert clip[0, 0, :, 0, 0].tolist() == [12, 14, 16]
    counted = item._replace(first_frame=6, num_frames=6)
    assert ClipMapper(Pipeline(steps), VideoReader())(counted, rng())["imgs"][0, 0, :, 0, 0].tolist() == [6, 8, 10]


def test_several_labels_become_a_vector(videos):
    mapper = ClipMapper(Pipeline(STEPS), VideoReader(), num_classes=4)
    item = items(videos)[0]._replace(labels=(1, 3))
    assert mapper(item, rng())["label"].tolist() == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "has one SampleFrames"),
        ([*STEPS, STEPS[0]], "came 2"),
        ([STEPS[0], {"type": "Flipp"}], "step 1 of the pipeline, Flipp.*did you mean 'Flip'"),
        ([STEPS[0], {"type": "Flip", "ratio": 1}], "step 1 of the pipeline, Flip"),
        ([STEPS[0], {"type": "FormatShape", "input_format": "NCHW"}], "NCTHW"),
        ([STEPS[0], {"type": "Normalize", "mean": [0], "std": [1], "to_bgr": True}], "to_bgr"),
    ],
)
def test_a_wrong_pipeline_is_refused_with_its_step(steps, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline(steps)
