import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from action_run import TEST, run, tiny_cfg
from steploop.config import ConfigError
from steploop.data import SampleError
from steploop.engine import seed_all_rng
from steploop.projects.action.trainer import ActionTrainer

pytest.importorskip("av", reason="PyAV is not installed")


def weights(folder, name="model_final.pth"):
    return torch.load(Path(folder) / name, weights_only=True)["model"]


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[name]) for name, value in first.items())


def losses(folder):
    lines = (Path(folder) / "metrics.json").read_text().splitlines()
    return [(entry["iteration"], entry["total_loss"]) for entry in map(json.loads, lines) if "total_loss" in entry]


def test_a_run_resumed_with_workers_and_a_cache_ends_in_the_same_bits(tmp_path):
    whole = tiny_cfg(tmp_path)
    trainer = run(whole)
    assert trainer.iter == 4
    results = trainer._last_eval_results["val"]
    assert set(results) == {"top1_acc_2x3", "top5_acc_2x3", "mean_class_acc_2x3", "view_top1_acc_2x3"}
    assert (tmp_path / "out/confusion_val.png").is_file()
    assert (tmp_path / "out/clips_val.png").is_file()
    options = {"DATALOADER.NUM_WORKERS": 2, "DATALOADER.VIDEO_CACHE": "raw", "DATASETS.TEST": ()}
    half = tiny_cfg(tmp_path, **options, OUTPUT_DIR=str(tmp_path / "half"))
    seed_all_rng(half.SEED)
    trainer = ActionTrainer(half)
    trainer.resume_or_load(resume=False)
    trainer.max_iter = 2
    trainer.train()
    # With other workers, and frames that are read from the cache now.
    half.DATALOADER.NUM_WORKERS = 1
    resumed = run(half, resume=True)
    assert resumed.start_iter == 2
    assert same(weights(whole.OUTPUT_DIR), weights(half.OUTPUT_DIR))
    assert losses(whole.OUTPUT_DIR) == losses(half.OUTPUT_DIR)


def test_a_run_goes_on_from_a_named_file_in_a_new_folder(tmp_path):
    cfg = tiny_cfg(tmp_path, **{"DATASETS.TEST": ()})
    run(cfg)
    source = str(tmp_path / "out/model_0000001.pth")
    other = tiny_cfg(tmp_path, **{"DATASETS.TEST": (), "SOLVER.RESUME_FROM": source}, OUTPUT_DIR=str(tmp_path / "new"))
    trainer = run(other, resume=True)
    assert trainer.start_iter == 2
    assert same(weights(cfg.OUTPUT_DIR), weights(other.OUTPUT_DIR))
    other.SOLVER.RESUME_FROM = str(tmp_path / "none.pth")
    other.OUTPUT_DIR = str(tmp_path / "third")
    with pytest.raises(FileNotFoundError, match="no checkpoint .*none.pth to go on from"):
        run(other, resume=True)


def test_weights_without_a_training_are_nothing_to_go_on_from(tmp_path):
    cfg = tiny_cfg(tmp_path, **{"DATASETS.TEST": ()})
    model = ActionTrainer.build_model(cfg)
    torch.save({"state_dict": model.state_dict(), "meta": {"epoch": 3}}, tmp_path / "mm.pth")
    cfg.SOLVER.RESUME_FROM = str(tmp_path / "mm.pth")
    with pytest.raises(ConfigError, match="--load-from"):
        run(cfg, resume=True)


def test_killed_while_decoding_and_resumed(tmp_path):
    """A process that is killed in the middle of its steps leaves a folder from which the run ends in the same bits."""
    cfg = tiny_cfg(tmp_path, **{"DATASETS.TEST": (), "SOLVER.MAX_ITER": 6, "SOLVER.CHECKPOINT_PERIOD": 1})
    run(cfg)
    cfg.OUTPUT_DIR, cfg.DATALOADER.NUM_WORKERS = str(tmp_path / "killed"), 2
    (tmp_path / "config.yaml").write_text(cfg.dump())
    script = Path(__file__).parents[3] / "projects/action/train_net.py"
    command = [sys.executable, str(script), "--config-file", str(tmp_path / "config.yaml")]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed/model_0000001.pth").exists() and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            signal.sigtimedwait([], 0.02)
    finally:
        with_workers = process.poll() is None
        if with_workers:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run(cfg, resume=True)
    assert same(weights(tmp_path / "out"), weights(cfg.OUTPUT_DIR))


def test_a_broken_video_ends_the_run_or_is_replaced_and_listed(tmp_path):
    names = ("h264_gop12_b2.mp4", "text.mp4", "mpeg4.avi", "truncated_no_moov.mp4")
    options = {"DATASETS.TEST": (), "SOLVER.MAX_ITER": 3}
    with pytest.raises(SampleError, match=r"(text|truncated_no_moov).mp4 cannot be decoded"):
        run(tiny_cfg(tmp_path, names=names, **options))
    options["DATALOADER.BROKEN_VIDEOS"] = "replace"
    first = tiny_cfg(tmp_path, names=names, **options, OUTPUT_DIR=str(tmp_path / "first"))
    run(first)
    second = tiny_cfg(tmp_path, names=names, **options, OUTPUT_DIR=str(tmp_path / "second"))
    second.DATALOADER.NUM_WORKERS = 2
    run(second)
    assert same(weights(first.OUTPUT_DIR), weights(second.OUTPUT_DIR))
    listed = (tmp_path / "first/broken_videos.txt").read_text()
    assert len(listed.splitlines()) == 2
    entries = [json.loads(line) for line in (tmp_path / "first/metrics.json").read_text().splitlines()]
    assert sum(entry.get("broken_videos", 0) for entry in entries) > 0


def test_a_video_that_hangs_ends_the_run_with_its_name(tmp_path, monkeypatch):
    from steploop.projects.action.data import mapper

    reading, writing = os.pipe()

    def hang(path, *arguments, **options):
        os.read(reading, 1)

    monkeypatch.setattr(mapper, "read_frames", hang)
    cfg = tiny_cfg(tmp_path, **{"DATASETS.TEST": (), "DATALOADER.VIDEO_TIMEOUT": 0.2, "DATALOADER.NUM_WORKERS": 1})
    try:
        with pytest.raises(SampleError, match=r"reading .*(mp4|avi|webm|mkv) took longer than 0.2 s"):
            run(cfg)
    finally:
        os.close(reading)
        os.close(writing)


def test_ten_by_three_views_give_the_same_figures_with_any_batch(tmp_path):
    model = ActionTrainer.build_model(tiny_cfg(tmp_path, **{"MODEL.NUM_CLASSES": 3}))
    torch.save({"meta": {}, "state_dict": model.state_dict(), "optimizer": {}}, tmp_path / "mmaction2.pth")
    found = []
    for batch, views in ((1, 0), (4, 0), (4, 7)):
        options = {
            "TEST.IMS_PER_BATCH": batch,
            "TEST.MAX_VIEWS": views,
            "MODEL.WEIGHTS": str(tmp_path / "mmaction2.pth"),
        }
        cfg = tiny_cfg(tmp_path, **options)
        cfg.INPUT.TEST_PIPELINE = [{**TEST[0], "num_clips": 10}, *TEST[1:]]
        trainer = ActionTrainer(cfg)
        trainer.resume_or_load(resume=False)
        found.append(trainer.evaluate()["val"])
    assert "top1_acc_10x3" in found[0]
    assert found[0] == found[1] == found[2]


def test_precise_statistics_are_computed_for_3d_normalisation(tmp_path):
    cfg = tiny_cfg(tmp_path, videos=False, **{"TEST.PRECISE_BN.ENABLED": True, "TEST.PRECISE_BN.NUM_ITER": 2})
    plain = tiny_cfg(tmp_path, videos=False, OUTPUT_DIR=str(tmp_path / "plain"))
    run(cfg)
    run(plain)
    precise, usual = weights(cfg.OUTPUT_DIR), weights(plain.OUTPUT_DIR)
    differ = {name for name in usual if not torch.equal(precise[name], usual[name])}
    assert differ
    assert all("running" in name for name in differ)


def test_what_is_wrong_with_the_data_is_told_before_the_first_step(tmp_path):
    cfg = tiny_cfg(tmp_path, videos=False)
    cfg.MODEL.NUM_CLASSES = 2
    with pytest.raises(ConfigError, match=r"list.txt, line 3: the label 2 is none of the model's 2 classes"):
        ActionTrainer(cfg)
    cfg.MODEL.NUM_CLASSES = 0
    cfg.DATASETS.TEST = ("vall",)
    with pytest.raises(ConfigError, match="names 'vall', and DATASETS.SPECS has"):
        ActionTrainer(cfg)
    cfg.DATASETS.TEST = ()
    cfg.DATASETS.SPECS.train.data_prefix = str(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="is data_prefix right"):
        ActionTrainer(cfg)
    cfg.DATASETS.SPECS.train.modality = "Flow"
    with pytest.raises(ConfigError, match="modality"):
        ActionTrainer(cfg)


def test_losses_of_a_validation_set(tmp_path):
    cfg = tiny_cfg(tmp_path, videos=False, **{"DATASETS.VAL": ("val",), "TEST.LOSS_PERIOD": 2, "SOLVER.MAX_ITER": 2})
    run(cfg)
    entries = [json.loads(line) for line in (tmp_path / "out/metrics.json").read_text().splitlines()]
    assert any(key.startswith("validation/") for entry in entries for key in entry), entries
