import tiny_project
from steploop.engine import build_default_config


def test_a_trainer_of_the_default_builders_needs_no_other_keys(tmp_path):
    cfg = build_default_config()
    assert set(cfg.MODEL) == {"CHANNELS_LAST", "DEVICE", "FREEZE_LAYERS", "META_ARCHITECTURE", "WEIGHTS"}
    overrides = [
        "SOLVER.MAX_ITER",
        "2",
        "SOLVER.IMS_PER_BATCH",
        "4",
        "MODEL.DEVICE",
        "cpu",
        "OUTPUT_DIR",
        str(tmp_path),
    ]
    cfg.merge_from_list([*overrides, "DATASETS.TRAIN", "('tiny',)", "DATALOADER.NUM_WORKERS", "0", "SEED", "1"])
    trainer = tiny_project.TinyTrainer(cfg)
    trainer.train()
    assert trainer.iter == 2
