"""A training of a small detector on a small data set."""

from detection_data import write_data
from detection_specs import tiny
from steploop.config import get_cfg
from steploop.engine import seed_all_rng
from steploop.projects.detection import add_detection_config
from steploop.projects.detection.trainer import DetectionTrainer

PIPELINE = [
    {"type": "Resize", "img_scale": [(96, 64), (72, 48)], "multiscale_mode": "range"},
    {"type": "RandomFlip", "flip_ratio": 0.5},
    {"type": "Pad", "size_divisor": 32},
]


def tiny_cfg(folder, kind="retinanet", **options):
    """Return the config of a run of 4 steps on 6 images, in `folder`."""
    path = write_data(folder / "data")
    cfg = get_cfg()
    add_detection_config(cfg)
    spec = {"type": "CocoDataset", "ann_file": path, "img_prefix": str(folder / "data")}
    cfg.merge_from_other_cfg({"MODEL": {"SPEC": tiny(kind)}, "DATASETS": {"SPECS": {"train": spec, "val": spec}}})
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("train",), ("val",)
    cfg.INPUT.TRAIN_PIPELINE, cfg.INPUT.TEST_PIPELINE = PIPELINE, [{"type": "Resize", "img_scale": (96, 64)}]
    cfg.MODEL.DEVICE = "cpu"
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS = 2, 4, (), 0
    cfg.SOLVER.CHECKPOINT_PERIOD, cfg.LOG_PERIOD, cfg.SEED = 2, 1, 3
    cfg.WRITERS = ("json",)
    cfg.OUTPUT_DIR = str(folder / "out")
    cfg.merge_from_list([item for pair in options.items() for item in pair])
    return cfg


def run(cfg):
    """Train, as train_net.py does; return the trainer."""
    seed_all_rng(cfg.SEED)
    trainer = DetectionTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    return trainer
