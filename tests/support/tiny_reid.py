"""A re-ID config that trains a step in a few milliseconds."""

from pathlib import Path

from steploop.config import CfgNode, get_cfg
from steploop.projects.reid import add_reid_config

OPTIONS: dict[str, object] = {
    "SEED": 3,
    "LOG_PERIOD": 2,
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.DEPTH": 18,
    "MODEL.BACKBONE.WIDTH": 8,
    "INPUT.SIZE_TRAIN": [32, 16],
    "INPUT.SIZE_TEST": [32, 16],
    "INPUT.PADDING.SIZE": 2,
    "DATALOADER.NUM_WORKERS": 0,
    "DATALOADER.NUM_INSTANCE": 2,
    "SOLVER.IMS_PER_BATCH": 8,
    "SOLVER.MAX_ITER": 4,
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.STEPS": (),
    "TEST.IMS_PER_BATCH": 3,
}


def tiny_reid_cfg(output_dir: Path, names: tuple[str, ...] = ("market",), **overrides: object) -> CfgNode:
    """Return a frozen config that trains and tests on `names`; "__" in an override's name stands for a dot."""
    cfg = get_cfg()
    add_reid_config(cfg)
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    options = {**OPTIONS, "OUTPUT_DIR": str(output_dir), "DATASETS.TRAIN": names, "DATASETS.TEST": names, **changes}
    cfg.merge_from_list([part for pair in options.items() for part in pair])
    cfg.freeze()
    return cfg
