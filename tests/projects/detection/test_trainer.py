import json
from pathlib import Path

import pytest
import torch

from detection_data import coco_content, write_data
from detection_run import run, tiny_cfg
from steploop.config import ConfigError
from steploop.engine import launch, seed_all_rng
from steploop.projects.detection.trainer import DetectionTrainer, with_scaled_rate


def weights(folder, name="model_final.pth"):
    return torch.load(Path(folder) / name, weights_only=True)["model"]


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("kind", ["retinanet", "faster_rcnn"])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, kind):
    cfg = tiny_cfg(tmp_path, kind)
    trainer = run(cfg)
    assert trainer.iter == 4
    figures = json.loads((tmp_path / "out/results_val.json").read_text())
    assert isinstance(figures, list)
    whole = weights(cfg.OUTPUT_DIR)
    half = tiny_cfg(tmp_path, kind, OUTPUT_DIR=str(tmp_path / "half"))
    half.DATASETS.TEST = ()
    seed_all_rng(half.SEED)
    trainer = DetectionTrainer(half)
    trainer.resume_or_load(resume=False)
    trainer.max_iter = 2
    trainer.train()
    resumed = DetectionTrainer(half)
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 2
    resumed.train()
    assert same(whole, weights(tmp_path / "half"))


def test_workers_change_nothing(tmp_path):
    cfg = tiny_cfg(tmp_path, **{"DATASETS.TEST": ()})
    run(cfg)
    other = tiny_cfg(tmp_path, **{"DATASETS.TEST": (), "DATALOADER.NUM_WORKERS": 2})
    other.OUTPUT_DIR = str(tmp_path / "workers")
    run(other)
    assert same(weights(cfg.OUTPUT_DIR), weights(other.OUTPUT_DIR))


def test_two_processes_of_which_one_has_no_ground_truth(tmp_path):
    cfg = tiny_cfg(tmp_path, "faster_rcnn", **{"DATASETS.TEST": (), "SOLVER.MAX_ITER": 2})
    content = coco_content(2)
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] == 100]
    path = write_data(tmp_path / "data", content)
    cfg.merge_from_list(["DATASETS.SPECS.train.filter_empty_gt", False])
    assert path == cfg.DATASETS.SPECS.train.ann_file
    launch(run, 2, args=(cfg,), device="cpu")
    assert all(torch.isfinite(value).all() for value in weights(cfg.OUTPUT_DIR).values())


def test_classes_of_data_and_model(tmp_path, caplog):
    cfg = tiny_cfg(tmp_path, **{"SOLVER.MAX_ITER": 1, "DATASETS.TEST": ()})
    cfg.MODEL.SPEC.bbox_head.num_classes = 80
    trainer = DetectionTrainer(cfg)
    assert trainer.checkpointer.model.num_classes == 3 and "num_classes=80" in caplog.text
    cfg.MODEL.NUM_CLASSES = 5
    with pytest.raises(ConfigError, match="MODEL.NUM_CLASSES is 5, and the training set has 3 classes"):
        DetectionTrainer(cfg)
    cfg.MODEL.NUM_CLASSES = 0
    cfg.DATASETS.TEST = ("val",)
    cfg.merge_from_other_cfg({"DATASETS": {"SPECS": {"val": {"classes": ["red"]}}}})
    with pytest.raises(ConfigError, match="the test set val has the classes red"):
        DetectionTrainer(cfg)
    cfg.DATASETS.TRAIN = ("trian",)
    with pytest.raises(ConfigError, match="did you mean train"):
        DetectionTrainer(cfg)


def test_starting_from_weights_of_other_classes(tmp_path, caplog):
    cfg = tiny_cfg(tmp_path, **{"SOLVER.MAX_ITER": 1, "DATASETS.TEST": ()})
    run(cfg)
    fewer = tiny_cfg(tmp_path / "fewer", **{"SOLVER.MAX_ITER": 1, "DATASETS.TEST": ()})
    fewer.merge_from_other_cfg({"DATASETS": {"SPECS": {"train": {"classes": ["blue"]}}}})
    fewer.MODEL.WEIGHTS = str(Path(cfg.OUTPUT_DIR) / "model_final.pth")
    trainer = DetectionTrainer(fewer)
    with caplog.at_level("INFO"):
        trainer.resume_or_load(resume=False)
    assert "Classes whose rows are taken from the file: blue" in caplog.text
    ours = trainer.checkpointer.model.state_dict()["bbox_head.retina_cls.bias"]
    theirs = weights(cfg.OUTPUT_DIR)["bbox_head.retina_cls.bias"]
    assert torch.equal(ours, theirs.reshape(9, 3)[:, 2])


def test_learning_rate_follows_the_batch(tmp_path, caplog):
    cfg = tiny_cfg(tmp_path, **{"SOLVER.BASE_LR": 0.02, "SOLVER.REFERENCE_BATCH": 16})
    with caplog.at_level("INFO"):
        scaled = with_scaled_rate(cfg)
    assert pytest.approx(0.0025) == scaled.SOLVER.BASE_LR
    assert "0.02 for batches of 16 (SOLVER.REFERENCE_BATCH) is 0.0025 for 2" in caplog.text
    cfg.SOLVER.REFERENCE_BATCH = 0
    assert with_scaled_rate(cfg) is cfg and "set SOLVER.REFERENCE_BATCH 16" in caplog.text


def test_proposals_are_measured(tmp_path):
    cfg = tiny_cfg(tmp_path, "faster_rcnn", **{"TEST.METRICS": ("bbox", "proposal"), "SOLVER.MAX_ITER": 1})
    trainer = DetectionTrainer(cfg)
    figures = trainer.evaluate()["val"]
    assert 0 <= figures["AR@100"] <= figures["AR@1000"] <= 1
