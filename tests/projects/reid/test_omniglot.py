"""Real images: handwritten characters of alphabets that were not trained on."""

import zipfile
from pathlib import Path

import pytest
import torch

from shared_files import shared
from steploop.config import get_cfg
from steploop.projects.reid import add_reid_config
from steploop.projects.reid.trainer import ReidTrainer

CONFIG = Path(__file__).parents[3] / "projects/reid/configs/omniglot.yaml"
# The published config with less of everything: it ends at 50 % and more in a quarter of a minute on one core.
QUICK = {
    "SEED": 0,
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.DEPTH": 18,
    "MODEL.BACKBONE.WIDTH": 16,
    "MODEL.BACKBONE.STEM": "imagenet",
    "INPUT.SIZE_TRAIN": [48, 48],
    "INPUT.SIZE_TEST": [48, 48],
    "INPUT.TURNS": 1,
    "TEST.TURNS": 1,
    "INPUT.AFFINE.DEGREES": 8.0,
    "INPUT.AFFINE.TRANSLATE": 0.05,
    "INPUT.AFFINE.SCALE": [0.9, 1.1],
    "INPUT.AFFINE.SHEAR": 5.0,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.BASE_LR": 0.01,
    "SOLVER.IMS_PER_BATCH": 64,
    "SOLVER.MAX_ITER": 100,
    "SOLVER.WARMUP_ITERS": 10,
    "SOLVER.CHECKPOINT_PERIOD": 0,
    "TEST.EVAL_PERIOD": 0,
    "TEST.EVAL_AT_START": False,
    "TEST.VIS_QUERIES": 0,
}


@pytest.mark.usefixtures("one_thread")
def test_training_helps_with_unseen_alphabets(tmp_path, monkeypatch):
    with zipfile.ZipFile(shared("data/omniglot-market.zip")) as archive:
        archive.extractall(tmp_path / "omniglot-market")
    monkeypatch.setenv("STEPLOOP_DATASETS", str(tmp_path))
    cfg = get_cfg()
    add_reid_config(cfg)
    cfg.merge_from_file(CONFIG)
    cfg.merge_from_list([part for pair in QUICK.items() for part in pair] + ["OUTPUT_DIR", str(tmp_path / "run")])
    torch.manual_seed(0)
    trainer = ReidTrainer(cfg)
    assert trainer.cfg.MODEL.HEADS.NUM_CLASSES == 137
    untrained = trainer.evaluate()["omniglot-market"]
    trained = trainer.train()["omniglot-market"]
    assert untrained["Rank-1"] < 35
    assert trained["Rank-1"] > untrained["Rank-1"] + 15
    assert trained["mAP"] > untrained["mAP"] + 10
