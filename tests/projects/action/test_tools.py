"""The commands beside train_net.py: predict, check_data, shrink, export."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from action_run import run, tiny_cfg, write_frames
from shared_files import shared
from steploop.projects.action.check import check_sets
from steploop.projects.action.data.datasets import build_dataset
from steploop.projects.action.export import export_recognizer
from steploop.projects.action.predictor import ActionPredictor, load_run_config

pytest.importorskip("av", reason="PyAV is not installed")
PROJECT = Path(__file__).parents[3] / "projects/action"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    cfg = tiny_cfg(folder, **{"SOLVER.MAX_ITER": 1, "DATASETS.TEST": ()})
    run(cfg)
    (folder / "out/config.yaml").write_text(cfg.dump())
    return folder


def command(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=PROJECT.parents[1]
    )
    return done.returncode, done.stdout, done.stderr


def test_predict_writes_classes_over_time_and_a_picture(trained, tmp_path):
    videos = [trained / "data/h264_gop12_b2.mp4", write_frames(tmp_path / "frames", count=1).parent / "v0"]
    code, out, err = command(
        PROJECT / "predict.py", trained / "out", *videos, "--windows", 3, "--top", 2, "--output", tmp_path / "seen"
    )
    assert code == 0, err
    found = json.loads((tmp_path / "seen/actions.json").read_text())
    windows = found[str(videos[0])]["windows"]
    assert [window["start"] for window in windows] == [0.0, pytest.approx(0.9, abs=0.03), pytest.approx(1.8)]
    assert len(windows[0]["names"]) == 2
    assert (tmp_path / "seen/0000_h264_gop12_b2.png").is_file()
    assert (tmp_path / "seen/0001_v0.png").is_file()


def test_a_file_that_is_no_video_is_one_line(trained, tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    code, _, err = command(PROJECT / "predict.py", trained / "out", tmp_path / "text.mp4")
    assert code != 0
    assert "text.mp4 cannot be decoded" in err
    assert "Traceback" not in err


def test_a_run_without_weights_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no config of a run"):
        load_run_config(tmp_path)
    (tmp_path / "config.yaml").write_text("SEED: 1\n")
    with pytest.raises(FileNotFoundError, match=r"no model_final.pth"):
        load_run_config(tmp_path)


def test_the_exported_program_gives_the_scores(trained, tmp_path):
    predictor = ActionPredictor(load_run_config(trained / "out"))
    difference = export_recognizer(predictor.model, tmp_path / "model.pt2", size=(8, 24, 24))
    assert difference <= 1e-5
    clips = torch.randint(0, 256, (3, 3, 8, 24, 24)).float()
    with torch.no_grad():
        scores = torch.export.load(tmp_path / "model.pt2").module()(clips)
    expected = predictor.predict([{"imgs": clip[None].to(torch.uint8)} for clip in clips])
    assert torch.allclose(scores, expected, atol=1e-5)


def test_check_data_finds_what_is_broken_missing_and_twice(tmp_path):
    names = ("h264_gop12_b2.mp4", "damaged.avi", "text.mp4", "five_frames.mp4")
    lists = {"train": names, "test": ("h264_gop12_b2.mp4", "mpeg4.avi")}
    sets = {}
    for split, files in lists.items():
        path = tmp_path / f"{split}.txt"
        path.write_text("".join(f"{name} {2 * number}\n" for number, name in enumerate(files)))
        folder = str(shared("data/action/oddities"))
        sets[split] = build_dataset({"type": "VideoDataset", "ann_file": str(path), "data_prefix": folder})
    report = check_sets(sets, clip_span=32)
    assert {Path(path).name for path in report.broken} == {"damaged.avi", "text.mp4"}
    for text in ("number 40 of 58", "text.mp4 cannot be decoded", "train: 1", "1 videos are in several splits", "25 ("):
        assert text in report.text, text
    assert report.problems == 2 + 4 + 1


def test_check_data_says_that_all_is_well(tmp_path):
    path = write_frames(tmp_path / "data")
    found = build_dataset({"type": "RawframeDataset", "ann_file": str(path), "data_prefix": str(tmp_path / "data")})
    assert check_sets({"train": found}).text.endswith("No problem was found.")
    path.write_text("v0 12 0\n")
    found = build_dataset({"type": "RawframeDataset", "ann_file": str(path), "data_prefix": str(tmp_path / "data")})
    assert "has the frames 1 to 10, the list says 1 to 12" in check_sets({"train": found}).text


def test_shrink_copies_a_folder(tmp_path):
    source = tmp_path / "videos/deep"
    source.mkdir(parents=True)
    for name in ("vp9.webm", "text.mp4"):
        (source / name).write_bytes((shared("data/action/oddities") / name).read_bytes())
    code, out, err = command(PROJECT / "shrink.py", tmp_path / "videos", tmp_path / "small", "--short-side", 32)
    assert code == 1
    assert "1 of 2 videos" in out
    assert "text.mp4 cannot be decoded" in err
    assert [path.name for path in (tmp_path / "small/deep").iterdir()] == ["vp9.mp4"]
