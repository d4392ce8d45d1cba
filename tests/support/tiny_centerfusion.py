"""A CenterFusion config that trains a step in a few milliseconds, on a few generated roads."""

from pathlib import Path

from steploop.config import CfgNode, get_cfg
from steploop.projects.centerfusion import add_centerfusion_config
from steploop.projects.centerfusion.synthetic.roads import NAME, RoadOptions, write_roads

OPTIONS: dict[str, object] = {
    "SEED": 3,
    "LOG_PERIOD": 2,
    "MODEL.DEVICE": "cpu",
    "MODEL.DLA.CHANNELS": [4, 4, 8, 8, 8, 8],
    "MODEL.DLA.NODE": "conv",
    "MODEL.HEADS.CHANNELS": 8,
    "MODEL.HEADS.SECONDARY_LAYERS": 2,
    "MODEL.RADAR.NUM_BOXES": 10,
    "INPUT.SIZE": [32, 64],
    "INPUT.SHIFT": 0.1,
    "INPUT.SCALE": 0.1,
    "INPUT.MAX_OBJECTS": 16,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 4,
    "SOLVER.MAX_ITER": 4,
    "SOLVER.BASE_LR": 1e-3,
    "SOLVER.STEPS": (),
    "TEST.NUM_DETECTIONS": 10,
    "TEST.VIS_SAMPLES": 1,
}


def write_tiny_roads(folder: Path) -> Path:
    """Write generated roads below `folder`, which $STEPLOOP_DATASETS is to name; return their folder."""
    write_roads(folder / NAME, RoadOptions(samples=2, val_samples=3, size=(128, 72), sweeps=2))
    return folder / NAME


def tiny_centerfusion_cfg(output_dir: Path, root: Path, **overrides: object) -> CfgNode:
    """Return a frozen config that trains and tests on the roads in `root`; "__" stands for a dot."""
    cfg = get_cfg()
    add_centerfusion_config(cfg)
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    names = {"DATASETS.TRAIN": (f"{root}/mini_train",), "DATASETS.TEST": (f"{root}/mini_val",)}
    options = {**OPTIONS, "OUTPUT_DIR": str(output_dir), **names, **changes}
    cfg.merge_from_list([part for pair in options.items() for part in pair])
    cfg.freeze()
    return cfg
