import json
import logging

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from market_folder import write_folders, write_market
from steploop.data import DatasetCatalog
from steploop.projects.reid.data import ReidDataset, get_dataset
from steploop.projects.reid.trainer import ReidTrainer, with_training_set
from tiny_reid import tiny_reid_cfg

pytestmark = pytest.mark.usefixtures("one_thread")

FIGURES = ["Rank-1", "Rank-5", "Rank-10", "mAP", "mINP", "metric"]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """A folder with the data sets "market" and "deep/market"."""
    root = tmp_path_factory.mktemp("datasets")
    write_market(root / "market")
    write_market(root / "deep" / "market", num_train=5, num_cams=3)
    return root


@pytest.fixture(autouse=True)
def root(datasets, monkeypatch):
    monkeypatch.setenv("STEPLOOP_DATASETS", str(datasets))
    return datasets


def train(cfg):
    torch.manual_seed(0)
    trainer = ReidTrainer(cfg)
    return trainer, trainer.train()


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def test_a_run_from_images_to_figures(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "steploop.projects.reid"):
        trainer, results = train(tiny_reid_cfg(tmp_path, TEST__EVAL_AT_START=True))
    assert list(results) == ["market"]
    assert list(results["market"]) == FIGURES
    assert all(0 <= value <= 100 for value in results["market"].values())

    written = metrics(tmp_path)
    assert [line["iteration"] for line in written] == [0, 1, 3, 4]
    assert {f"market/{name}" for name in FIGURES} <= written[-1].keys()
    assert written[-1]["market/Rank-1"] == results["market"]["Rank-1"]
    assert {"loss_cls", "loss_triplet", "total_loss", "lr"} <= written[1].keys()

    with Image.open(tmp_path / "retrievals_market.png") as image:
        assert image.format == "PNG"
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["images"] == ["market/retrievals"]
    assert "market/mAP" in events.Tags()["scalars"]
    assert "| train    |     4 |       16 |         2 |" in caplog.text
    assert f"drawn in {tmp_path}/retrievals_market.png" in caplog.text
    assert trainer.cfg.MODEL.HEADS.NUM_CLASSES == 4


def test_evaluating_the_final_checkpoint_gives_the_final_figures(tmp_path):
    _, results = train(tiny_reid_cfg(tmp_path / "run"))
    cfg = tiny_reid_cfg(tmp_path / "later", MODEL__WEIGHTS=str(tmp_path / "run" / "model_final.pth"))
    trainer = ReidTrainer(cfg)
    trainer.resume_or_load(resume=False)
    assert trainer.evaluate() == results
    pictures = [tmp_path / run / "retrievals_market.png" for run in ("run", "later")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_a_finished_run_needs_its_pretrained_file_no_more(tmp_path):
    backbone = ReidTrainer.build_model(with_training_set(tiny_reid_cfg(tmp_path))).backbone
    torch.save({**backbone.state_dict(), "fc.weight": torch.zeros(1000, 64)}, tmp_path / "imagenet.pth")
    keys = {"MODEL__BACKBONE__PRETRAIN_PATH": str(tmp_path / "imagenet.pth")}
    trainer = ReidTrainer(tiny_reid_cfg(tmp_path / "run", **keys))
    trainer.resume_or_load(resume=False)
    started = trainer.model.backbone.state_dict()
    assert all(torch.equal(value, started[name]) for name, value in backbone.state_dict().items())
    results = trainer.train()
    (tmp_path / "imagenet.pth").unlink()
    weights = str(tmp_path / "run" / "model_final.pth")
    later = ReidTrainer(tiny_reid_cfg(tmp_path / "later", MODEL__WEIGHTS=weights, **keys))
    later.resume_or_load(resume=False)
    assert later.evaluate() == results
    resumed = ReidTrainer(tiny_reid_cfg(tmp_path / "run", SOLVER__MAX_ITER=5, **keys))
    resumed.resume_or_load(resume=True)
    assert resumed.start_iter == 4


def test_the_heads_have_a_learning_rate_of_their_own(tmp_path):
    cfg = with_training_set(tiny_reid_cfg(tmp_path, SOLVER__HEADS_LR_FACTOR=10.0, SOLVER__BASE_LR=0.5))
    groups = ReidTrainer.build_optimizer(cfg, ReidTrainer.build_model(cfg)).param_groups
    rates = {(name.split(".")[0], group["lr"]) for group in groups for name in group["param_names"]}
    assert rates == {("backbone", 0.5), ("heads", 5.0)}
    assert list(cfg.SOLVER.LR_FACTORS) == []


def test_several_sets_are_trained_on_and_tested(tmp_path):
    trainer, results = train(tiny_reid_cfg(tmp_path, ("market", "deep/market"), INPUT__TURNS=2))
    assert list(results) == ["market", "deep/market"]
    assert trainer.cfg.MODEL.HEADS.NUM_CLASSES == 2 * (4 + 5)
    assert {"market/Rank-1", "deep/market/Rank-1", "deep/market/mAP"} <= metrics(tmp_path)[-1].keys()
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "retrievals_deep_market.png",
        "retrievals_market.png",
    ]


def test_no_picture_if_none_is_wanted(tmp_path):
    train(tiny_reid_cfg(tmp_path, SOLVER__MAX_ITER=1, TEST__VIS_QUERIES=0))
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"DATASETS__TEST": ("market", "nowhere")}, FileNotFoundError, "unknown data set 'nowhere'"),
        ({"DATASETS__TRAIN": ("markt",)}, FileNotFoundError, "did you mean 'market'"),
        ({"DATASETS__TRAIN": ()}, ValueError, "DATASETS.TRAIN is empty"),
        ({"DATASETS__VAL": ("market",)}, ValueError, "DATASETS.VAL cannot be measured here"),
        ({"TEST__METRIC": "cosin"}, ValueError, "unknown metric 'cosin': choose one of cosine, euclidean"),
        ({"TEST__MEMORY_MIB": 0}, ValueError, r"TEST\.MEMORY_MIB\), got 0"),
        ({"TEST__VIS_QUERIES": -1}, ValueError, r"TEST\.VIS_QUERIES >= 0"),
        ({"TEST__IMS_PER_BATCH": 0}, ValueError, "batch size >= 1, got 0"),
        ({"INPUT__SIZE_TEST": [32]}, ValueError, r"\[32\]"),
        ({"INPUT__TURNS": 3}, ValueError, r"INPUT\.TURNS is 1, 2 or 4"),
        ({"SOLVER__IMS_PER_BATCH": 10}, ValueError, "only 4 identities"),
    ],
)
def test_what_cannot_work_is_an_error_before_training(tmp_path, overrides, error, message):
    with pytest.raises(error, match=message):
        ReidTrainer(tiny_reid_cfg(tmp_path, **overrides))
    assert not list(tmp_path.iterdir())


def test_a_test_set_without_queries_is_an_error_before_training(tmp_path, monkeypatch, root):
    monkeypatch.setattr(DatasetCatalog, "_makers", dict(DatasetCatalog._makers))
    market = get_dataset("market")
    DatasetCatalog.register("no queries", lambda: ReidDataset("no queries", market.train, [], market.gallery))
    with pytest.raises(ValueError, match="'no queries' has no query images"):
        ReidTrainer(tiny_reid_cfg(tmp_path, DATASETS__TEST=("no queries",)))
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    write_folders(tmp_path / "empty", query=[])
    with pytest.raises(ValueError, match="query holds no usable image"):
        ReidTrainer(tiny_reid_cfg(tmp_path / "run", ("empty",)))


def test_the_number_of_classes_is_filled_in(tmp_path):
    cfg = tiny_reid_cfg(tmp_path)
    filled = with_training_set(cfg)
    assert (filled.MODEL.HEADS.NUM_CLASSES, cfg.MODEL.HEADS.NUM_CLASSES) == (4, 0)
    assert filled.is_frozen()
    assert with_training_set(tiny_reid_cfg(tmp_path, INPUT__TURNS=4)).MODEL.HEADS.NUM_CLASSES == 16
    given = tiny_reid_cfg(tmp_path, MODEL__HEADS__NUM_CLASSES=7)
    assert with_training_set(given) is given


def test_each_data_set_is_read_once_before_the_first_step(tmp_path, root):
    reads = []

    def read(name):
        reads.append(name)
        return get_dataset(f"{root}/market")

    for name in ("first", "second"):
        DatasetCatalog.register(name, lambda name=name: read(name))
    try:
        cfg = tiny_reid_cfg(tmp_path, ("first",), DATASETS__TEST=("first", "second"))
        trainer = ReidTrainer(cfg)
        assert reads == ["first", "second"]
        trainer.build_test_loader(cfg, "first")  # later it is read again: a folder may have changed
        assert len(reads) == 3
    finally:
        DatasetCatalog.remove("first")
        DatasetCatalog.remove("second")
