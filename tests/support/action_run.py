"""A training of a small SlowFast on a few small videos, written here or folders of frames."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from action_golden import slowfast_spec
from shared_files import shared
from steploop.config import get_cfg
from steploop.engine import seed_all_rng
from steploop.projects.action import add_action_config
from steploop.projects.action.trainer import ActionTrainer

TRAIN = [
    {"type": "SampleFrames", "clip_len": 8, "frame_interval": 2},
    {"type": "RandomResizedCrop", "area_range": [0.5, 1.0]},
    {"type": "Resize", "scale": [24, 24], "keep_ratio": False},
    {"type": "Flip", "flip_ratio": 0.5},
]
TEST = [
    {"type": "SampleFrames", "clip_len": 8, "frame_interval": 2, "num_clips": 2, "test_mode": True},
    {"type": "Resize", "scale": [-1, 24]},
    {"type": "ThreeCrop", "crop_size": 24},
]
VIDEOS = ("h264_gop12_b2.mp4", "mpeg4.avi", "vp9.webm", "h264_open_gop.mp4", "no_frame_count.mkv", "mjpeg.avi")


def tiny_spec(num_classes=3):
    spec = slowfast_spec(18, num_classes)
    spec["backbone"] |= {"resample_rate": 4, "speed_ratio": 4}
    for path, channels in (("slow_pathway", 8), ("fast_pathway", 4)):
        spec["backbone"][path] |= {
            "stage_blocks": (1, 1, 1, 1),
            "stage_widths": (1, 1, 1, 1),
            "base_channels": channels,
        }
    spec["cls_head"] |= {"in_channels": 12, "dropout_ratio": 0.3}
    return spec


def write_videos(folder, names=VIDEOS):
    """Copy videos into `folder` and list them with labels 0, 1, 2, 0, ...; return the list."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(shared("data/action/oddities") / name, folder / name)
    path = folder / "list.txt"
    path.write_text("".join(f"{name} {number % 3}\n" for number, name in enumerate(names)))
    return path


def write_frames(folder, count=6, frames=10):
    """Write folders of frames and list them with labels 0, 1, 2, 0, ...; return the list."""
    rng, lines = np.random.default_rng(0), []
    for number in range(count):
        (folder / f"v{number}").mkdir(parents=True, exist_ok=True)
        for frame in range(1, frames + 1):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"v{number}" / f"img_{frame:05}.jpg")
        lines.append(f"v{number} {frames} {number % 3}\n")
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


def tiny_cfg(folder: Path, *, videos=True, names=VIDEOS, **options):
    """Return the config of a run of 4 steps, in `folder`."""
    data = folder / "data"
    path = write_videos(data, names) if videos else write_frames(data)
    cfg = get_cfg()
    add_action_config(cfg)
    spec = {"type": "VideoDataset" if videos else "RawframeDataset", "ann_file": str(path), "data_prefix": str(data)}
    cfg.merge_from_other_cfg({"MODEL": {"SPEC": tiny_spec()}, "DATASETS": {"SPECS": {"train": spec, "val": spec}}})
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("train",), ("val",)
    cfg.INPUT.TRAIN_PIPELINE, cfg.INPUT.TEST_PIPELINE = TRAIN, TEST
    cfg.MODEL.DEVICE = "cpu"
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS, cfg.SOLVER.WARMUP_ITERS = 4, 4, (), 0
    cfg.SOLVER.CHECKPOINT_PERIOD, cfg.LOG_PERIOD, cfg.SEED, cfg.SOLVER.BASE_LR = 2, 1, 3, 0.01
    cfg.TEST.IMS_PER_BATCH = 4
    cfg.WRITERS = ("json",)
    cfg.OUTPUT_DIR = str(folder / "out")
    cfg.merge_from_list([item for pair in options.items() for item in pair])
    return cfg


def run(cfg, *, resume=False):
    """Train, as train_net.py does; return the trainer."""
    seed_all_rng(cfg.SEED)
    trainer = ActionTrainer(cfg)
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer
