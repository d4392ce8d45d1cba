import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from market_folder import write_image, write_market
from reid_run import NUM_IDENTITIES, write_run
from steploop.projects.reid.data import get_dataset
from steploop.projects.reid.export import export
from steploop.projects.reid.predictor import ReidPredictor, load_run_config
from steploop.projects.reid.trainer import ReidTrainer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    """The config of a run, and its data set "market"."""
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    write_market(tmp_path / "market")
    return write_run(tmp_path / "run")


@pytest.fixture
def predictor(cfg):
    return ReidPredictor(cfg)


def test_features_are_those_of_the_evaluation(cfg, predictor):
    outputs = []
    for batch in ReidTrainer.build_test_loader(cfg, "market"):
        with torch.no_grad():
            outputs.append(predictor.model(batch))
    evaluated = torch.cat(outputs)
    dataset = get_dataset("market")
    features = predictor([item.img_path for item in [*dataset.query, *dataset.gallery]])
    assert features.shape == evaluated.shape == (8, 64)
    assert torch.equal(features, torch.nn.functional.normalize(evaluated))
    assert features.dtype == torch.float32
    assert features.norm(dim=1).numpy() == pytest.approx(np.ones(8))
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_the_averaged_weights_are_those_of_the_evaluation(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    write_market(tmp_path / "market")
    cfg = write_run(tmp_path / "run", average=True, SOLVER__EMA__ENABLED=True)
    predictor = ReidPredictor(cfg)
    trainer = ReidTrainer(cfg)
    trainer.resume_or_load(resume=False)
    assert trainer.ema is not None
    with trainer.ema.applied():
        expected = trainer.model.state_dict()
        own = predictor.model.state_dict()
        assert all(torch.equal(own[name], value) for name, value in expected.items())
    assert not all(torch.equal(own[name], value) for name, value in trainer.model.state_dict().items())


def test_a_file_an_array_and_a_pil_image_are_one(predictor, tmp_path):
    path = write_image(tmp_path / "one.png", seed=5)
    pixels = np.asarray(Image.open(path))
    with Image.open(path) as image:
        features = predictor([str(path), path, pixels, image, Image.fromarray(pixels), image.convert("RGBA")])
    assert features.shape == (6, 64)
    assert torch.equal(features, features[:1].expand(6, -1))
    assert torch.equal(predictor(pixels), predictor(path))
    assert predictor(path).shape == (1, 64)
    assert not torch.equal(predictor(pixels[:, :, ::-1].copy()), predictor(path))  # RGB, not BGR


def test_pil_images_are_turned_upright_as_files_are(predictor, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.open(write_image(tmp_path / "one.png", seed=5)).save(path, exif=exif, quality=100)
    with Image.open(path) as image:
        assert torch.equal(predictor(image), predictor(path))
        assert not torch.equal(predictor(np.asarray(image)), predictor(path))


def test_the_model_gets_no_more_than_a_batch(predictor, tmp_path, monkeypatch):
    sizes = []
    forward = predictor.model.forward
    monkeypatch.setattr(predictor.model, "forward", lambda batch: sizes.append(len(batch["images"])) or forward(batch))
    paths = [write_image(tmp_path / f"{seed}.png", seed) for seed in range(7)]
    assert predictor(paths).shape == (7, 64)
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4), np.uint8), ValueError, r"uint8 \(H, W, 3\) in RGB, got uint8 \(4, 4\)"),
        (np.zeros((4, 4, 3)), ValueError, r"float64 \(4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), ValueError, "several are a list"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"\(0, 4, 3\)"),
        (Image.new("F", (4, 4)), ValueError, "mode F is deeper than 8 bits"),
        (Image.new("I;16", (4, 4)), ValueError, "mode I;16 is deeper"),
        ("gone.jpg", FileNotFoundError, "gone.jpg does not exist"),
        (3, TypeError, "a path, an array or a PIL image, got a int"),
        (torch.zeros(3, 4, 4), TypeError, "got a Tensor"),
    ],
)
def test_what_is_no_image_is_named(predictor, image, error, message):
    with pytest.raises(error, match=message):
        predictor([image])


def test_the_weights_tell_the_number_of_identities(cfg, predictor, tmp_path):
    assert cfg.MODEL.HEADS.NUM_CLASSES == 0
    assert predictor.cfg.MODEL.HEADS.NUM_CLASSES == NUM_IDENTITIES
    torch.save({"model": {"other": torch.ones(1)}}, tmp_path / "other.pth")
    other = cfg.clone()
    other.defrost()
    other.MODEL.WEIGHTS = str(tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"has no heads\.weight.*MODEL\.HEADS\.NUM_CLASSES"):
        ReidPredictor(other)


def test_config_and_weights_find_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no finished run is below output/"):
        load_run_config()
    older, newer = (Path("output", name, "model_final.pth") for name in ("older", "newer"))
    for seconds, path in ((2000, newer), (1000, older)):
        write_run(path.parent, OUTPUT_DIR="")
        os.utime(path, (seconds, seconds))
    assert str(newer) == load_run_config().MODEL.WEIGHTS
    assert str(older) == load_run_config(weights=older).MODEL.WEIGHTS
    assert str(older) == load_run_config(older.with_name("config.yaml")).MODEL.WEIGHTS
    assert str(newer) == load_run_config(older.with_name("config.yaml"), newer).MODEL.WEIGHTS
    assert str(older) == load_run_config(opts=["MODEL.WEIGHTS", str(older)]).MODEL.WEIGHTS


def test_a_training_config_finds_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("MODEL: {WEIGHTS: start.pth}\n")
    Path("unset.yaml").write_text("TEST: {IMS_PER_BATCH: 5}\n")
    with pytest.raises(FileNotFoundError, match=r"neither model_final\.pth nor output/unset/model_final\.pth"):
        load_run_config("unset.yaml")
    assert load_run_config("mine.yaml").MODEL.WEIGHTS == "start.pth"
    write_run(Path("output/mine"))
    write_run(Path("elsewhere"))
    cfg = load_run_config("mine.yaml", opts=["TEST.IMS_PER_BATCH", "7"])
    assert (cfg.MODEL.WEIGHTS, cfg.TEST.IMS_PER_BATCH) == ("output/mine/model_final.pth", 7)
    assert cfg.is_frozen()
    assert load_run_config("mine.yaml", opts=["MODEL.WEIGHTS", "x.pth"]).MODEL.WEIGHTS == "x.pth"
    assert load_run_config("mine.yaml", opts=["OUTPUT_DIR", "elsewhere"]).MODEL.WEIGHTS == "elsewhere/model_final.pth"


def test_weights_without_a_config_ask_for_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="--config-file"):
        load_run_config(weights=tmp_path / "model.pth")


def test_a_finished_run_needs_the_pretrained_file_no_more(tmp_path):
    cfg = write_run(tmp_path / "run", MODEL__BACKBONE__PRETRAIN_PATH=str(tmp_path / "no_such_file.pth"))
    predictor = ReidPredictor(cfg)
    assert predictor(write_image(tmp_path / "one.png")).shape == (1, 64)
    assert export(predictor, tmp_path / "model.pt2") <= 1e-5
