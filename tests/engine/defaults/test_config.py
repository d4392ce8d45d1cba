import pytest

import tiny_project
from steploop.config import get_cfg
from steploop.engine import build_default_config


@pytest.mark.parametrize("make", [build_default_config, get_cfg])
def test_a_trainer_of_the_default_builders_needs_no_other_keys(tmp_path, make):
    cfg = make()
    assert "BACKBONE" not in cfg.MODEL
    run = ["OUTPUT_DIR", str(tmp_path), "SEED", "1", "MODEL.DEVICE", "cpu", "SOLVER.MAX_ITER", "2"]
    cfg.merge_from_list(
        [*run, "SOLVER.IMS_PER_BATCH", "4", "DATASETS.TRAIN", "('tiny',)", "DATALOADER.NUM_WORKERS", "0"]
    )
    trainer = tiny_project.TinyTrainer(cfg)
    trainer.train()
    assert trainer.iter == 2
