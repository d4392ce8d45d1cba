"""The command lines and what is behind them: predictor, predict.py, check_data.py, export.py."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detection_data import coco_content, write_data
from detection_run import run, tiny_cfg
from detection_specs import tiny
from steploop.projects.detection.check import check_files, contact_sheet
from steploop.projects.detection.data.street import generate_streets, street_scenes
from steploop.projects.detection.export import decode_rows, export_detector
from steploop.projects.detection.modeling import Pixels, build_detector
from steploop.projects.detection.modeling.anchors import Anchors
from steploop.projects.detection.predictor import DetectionPredictor, load_run_config

PROJECT = Path(__file__).parents[3] / "projects" / "detection"


def script(name):
    spec = importlib.util.spec_from_file_location(f"detection_{name}", PROJECT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cfg = tiny_cfg(folder, **{"SOLVER.MAX_ITER": 1, "DATASETS.TEST": ()})
    run(cfg)
    (Path(cfg.OUTPUT_DIR) / "config.yaml").write_text(cfg.dump())
    return folder


def test_predictor(trained):
    predictor = DetectionPredictor(load_run_config(trained / "out/config.yaml", ["MODEL.DEVICE", "cpu"]))
    file = trained / "data/0.png"
    assert predictor.classes == ("red", "green", "blue")
    by_file, by_array, by_image = predictor([file, np.array(Image.open(file)), Image.open(file)])
    assert by_file == by_array == by_image
    for box in by_file.boxes:
        assert 0 <= box[0] <= box[2] <= 96 and 0 <= box[1] <= box[3] <= 64
    assert predictor.draw(file, by_file, score=0.0).size == (96, 64)
    for wrong in (np.zeros((3, 4)), 5):
        with pytest.raises((ValueError, TypeError), match="an image is"):
            predictor(wrong)


def test_predict_writes_pictures(trained, monkeypatch, capsys, tmp_path):
    arguments = ["predict.py", str(trained / "out"), str(trained / "data"), "--output", str(tmp_path / "drawn")]
    monkeypatch.setattr(sys, "argv", arguments)
    predict = script("predict")
    predict.main()
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 6
    assert len(json.loads((tmp_path / "drawn/detections.json").read_text())) == 6
    with pytest.raises(FileNotFoundError, match="no image"):
        predict.images_in([tmp_path])
    with pytest.raises(FileNotFoundError, match="no image or folder"):
        predict.images_in([tmp_path / "gone"])


def test_check_data(tmp_path):
    content = coco_content()
    content["annotations"][0]["bbox"] = [3, 3, 0, 5]
    content["annotations"].append({**content["annotations"][1], "id": 99})
    first, second = write_data(tmp_path / "a", content), write_data(tmp_path / "b")
    shutil.copy(tmp_path / "a/1.png", tmp_path / "b/1.png")
    anchors = Anchors([8, 16], [[16], [32]], [1.0])
    folders = [(first, str(tmp_path / "a")), (second, str(tmp_path / "b"))]
    report, records, classes = check_files(folders, anchors=anchors, img_scale=(96, 64))
    assert any("annotation 1 of 0.png is 0 x 5 pixels" in problem for problem in report.problems)
    assert any("in several splits" in problem for problem in report.problems)
    assert any("has the same box twice" in remark for remark in report.remarks)
    assert "median side" in report.text and "boxes with an anchor" in report.text
    assert contact_sheet(records, classes).ndim == 3
    Image.new("RGB", (5, 5)).save(tmp_path / "b/2.png")
    assert any("has 5 x 5" in problem for problem in check_files(folders[1:])[0].problems)


@pytest.mark.parametrize("kind", ["retinanet", "faster_rcnn"])
@torch.no_grad()
def test_export(tmp_path, kind):
    torch.manual_seed(0)
    detector = build_detector(tiny(kind), pixels=Pixels((120.0, 120, 120), (60.0, 60, 60))).eval()
    assert export_detector(detector, tmp_path / "x.pt2", size=(64, 96)) <= 1e-4
    program = torch.export.load(tmp_path / "x.pt2").module()
    images = torch.rand(1, 3, 64, 96) * 255
    boxes, scores = decode_rows(detector, program(images), (64, 96))
    assert boxes.shape[:2] == scores.shape[:2] and scores.shape[2] == (3 if kind == "retinanet" else 1)
    if kind == "retinanet":
        (found,) = detector({"image": images})
        best = scores.max()
        assert len(found.scores) == 0 or found.scores[0] == pytest.approx(best.item(), abs=1e-5)


def test_street_scenes(tmp_path, monkeypatch):
    root = generate_streets(tmp_path / "streets", splits={"train": 3})
    again = generate_streets(tmp_path / "again", splits={"train": 3})
    for name in ("train.json", "train/0002.jpg"):
        assert (root / name).read_bytes() == (again / name).read_bytes()
    assert generate_streets(root, splits={"train": 3}) == root
    with pytest.raises(FileExistsError, match="is not the data set"):
        generate_streets(root, splits={"train": 4})
    content = json.loads((root / "train.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["person", "car", "sign"]
    assert len(content["annotations"]) >= 6
    report, _, _ = check_files([(str(root / "train.json"), str(root / "train"))])
    assert not report.problems
    with pytest.raises(ValueError, match="has the splits train, val"):
        street_scenes("test", training=True)
