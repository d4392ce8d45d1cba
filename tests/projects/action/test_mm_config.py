"""MMAction2 0.x configs: what they become, what is refused, and a run from one that is not changed."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from action_run import write_frames
from shared_files import shared
from steploop.config import ConfigError, get_cfg
from steploop.engine import build_lr_scheduler, build_optimizer
from steploop.projects.action import action_from_mm, add_action_config
from steploop.projects.action.trainer import ActionTrainer

FOLDER = "mmaction2-0.24.1/mmaction/.mim/configs/recognition/"
SLOWFAST = "slowfast/slowfast_r50_4x16x1_256e_kinetics400_rgb.py"


def untuple(value):
    if isinstance(value, dict):
        return tuple(map(untuple, value["__tuple__"])) if set(value) == {"__tuple__"} else {
            key: untuple(item) for key, item in value.items()
        }  # fmt: skip
    return [untuple(item) for item in value] if isinstance(value, list) else value


def golden_config(name):
    with gzip.open(shared("golden/mm_configs.json.gz")) as file:
        return untuple(json.load(file)[FOLDER + name])


def settings(config, **options):
    cfg = get_cfg()
    add_action_config(cfg)
    cfg.merge_from_other_cfg(action_from_mm(config, **options))
    return cfg


def test_slowfast_4x16():
    cfg = settings(golden_config(SLOWFAST), num_processes=8)
    solver = cfg.SOLVER
    assert (solver.OPT, solver.BASE_LR, solver.MOMENTUM, solver.WEIGHT_DECAY) == ("SGD", 0.1, 0.9, 1e-4)
    assert (solver.WEIGHT_DECAY_NORM, solver.WEIGHT_DECAY_BIAS) == (None, None)
    assert (solver.CLIP_GRADIENTS.ENABLED, solver.CLIP_GRADIENTS.CLIP_VALUE) == (True, 40.0)
    assert (solver.MAX_EPOCH, solver.LR_STAIRS, solver.WARMUP_EPOCHS) == (256, 256, 34.0)
    assert (solver.WARMUP_FACTOR, solver.WARMUP_MULTIPLIES, solver.BASE_LR_END) == (0.1, True, 0.0)
    assert (solver.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS, solver.CHECKPOINT_PERIOD) == (64, 2, 4)
    assert (cfg.TEST.EVAL_PERIOD, cfg.LOG_PERIOD, cfg.TEST.AVERAGE_CLIPS) == (5, 20, "prob")
    assert not cfg.TEST.PRECISE_BN.ENABLED  # this file has no precise_bn
    precise = settings({**golden_config(SLOWFAST), "precise_bn": {"num_iters": 100, "interval": 3}}).TEST.PRECISE_BN
    assert (precise.ENABLED, precise.NUM_ITER) == (True, 100)
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (("train",), ("val",))
    assert list(cfg.DATASETS.SPECS) == ["train", "val", "test"]
    assert cfg.MODEL.PIXEL_MEAN == [123.675, 116.28, 103.53]


def test_one_group_of_parameters_and_the_curve_of_mmcv():
    cfg = settings(golden_config(SLOWFAST))
    cfg.MODEL.DEVICE = "cpu"
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.MAX_EPOCH = 256 * 5, 34 * 5, 0
    model = ActionTrainer.build_model(cfg)
    assert sum(parameter.numel() for parameter in model.parameters()) == 34_479_288
    optimizer = build_optimizer(cfg, model)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}
    figures = np.load(shared("golden/action") / "schedules.npz")["slowfast_4x16_cosine256_warm34_ipe5"]
    scheduler = build_lr_scheduler(cfg, optimizer)
    assert [0.1 * scheduler.factor(step) for step in range(0, 1280, 7)] == pytest.approx(figures[::7], rel=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "slowfast/slowfast_r50_8x8x1_256e_kinetics400_rgb.py",
        "slowfast/slowfast_r50_video_4x16x1_256e_kinetics400_rgb.py",
        "slowfast/slowfast_prebn_r50_8x8x1_256e_kinetics400_rgb_steplr.py",
        "slowonly/slowonly_r50_4x16x1_256e_kinetics400_rgb.py",
    ],
)
def test_other_configs_of_mmaction_are_read(name):
    assert settings(golden_config(name)).MODEL.SPEC.type == "Recognizer3D"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multigrid": {}}, "'multigrid' of the mm config is not supported"),
        ({"model": None}, "has no 'model'"),
        ({"optimizer": None}, "has no 'optimizer'"),
        ({"optimizer": {"type": "SGD", "lr": 0.1, "paramwise_cfg": {"custom_keys": {}}}}, "custom_keys"),
        ({"lr_config": {"policy": "cyclic"}}, "policy of the mm config is one of"),
        ({"lr_config": {"policy": "step", "step": [1], "periods": 3}}, "periods"),
        ({"evaluation": {"interval": 1, "metrics": ["mAP"]}}, "mAP is none of"),
        ({"log_config": {"hooks": [{"type": "PaviLoggerHook"}]}}, "PaviLoggerHook"),
        ({"total_epochs": None}, "says no length"),
        ({"optimizer_config": {"type": "DistOptimizerHook"}}, "DistOptimizerHook"),
        ({"workflow": [("val", 1)]}, "workflow"),
        ({"runner": {"type": "PackedRunner"}}, "PackedRunner"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message):
        settings({**golden_config(SLOWFAST), **change})


CONFIG = """
model = dict(
    type='Recognizer3D',
    backbone=dict(type='ResNet3dSlowOnly', depth=18, pretrained=None, lateral=False, base_channels=4,
                  conv1_kernel=(1, 7, 7), conv1_stride_t=1, pool1_stride_t=1, inflate=(0, 0, 1, 1), norm_eval=False),
    cls_head=dict(type='I3DHead', in_channels=32, num_classes=3, spatial_type='avg', dropout_ratio=0.5))
train_cfg = None
test_cfg = dict(average_clips=None)
dataset_type = 'RawframeDataset'
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False)
train_pipeline = [
    dict(type='SampleFrames', clip_len=4, frame_interval=1, num_clips=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 24)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(24, 24), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs', 'label'])
]
val_pipeline = [
    dict(type='SampleFrames', clip_len=4, frame_interval=1, num_clips=1, test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 24)),
    dict(type='CenterCrop', crop_size=24),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])
]
data = dict(
    videos_per_gpu=2, workers_per_gpu=0,
    train=dict(type=dataset_type, ann_file='{{ fileDirname }}/data/list.txt', data_prefix='{{ fileDirname }}/data',
               pipeline=train_pipeline),
    val=dict(type=dataset_type, ann_file='{{ fileDirname }}/data/list.txt', data_prefix='{{ fileDirname }}/data',
             pipeline=val_pipeline))
optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)
optimizer_config = dict(grad_clip=dict(max_norm=40, norm_type=2))
lr_config = dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_by_epoch=True, warmup_iters=1)
total_epochs = 2
checkpoint_config = dict(interval=1)
workflow = [('train', 1)]
evaluation = dict(interval=1, metrics=['top_k_accuracy', 'mean_class_accuracy'])
log_config = dict(interval=1, hooks=[dict(type='TextLoggerHook')])
precise_bn = dict(num_iters=2, interval=1)
dist_params = dict(backend='nccl')
log_level = 'INFO'
work_dir = '{{ fileDirname }}/work'
load_from = None
resume_from = None
"""


def train(folder, *flags):
    script = Path(__file__).parents[3] / "projects/action/train_net.py"
    command = [sys.executable, str(script), "--config-file", str(folder / "slow.py"), *flags, "MODEL.DEVICE", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_flow_of_mmaction_with_its_flags(tmp_path):
    write_frames(tmp_path / "data")
    (tmp_path / "slow.py").write_text(CONFIG)
    done = train(tmp_path, "--validate", "--gpus", "1", "--seed", "3")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / "work/metrics.json").read_text().splitlines()]
    rates = {line["iteration"]: line["lr"] for line in lines if "lr" in line}
    assert rates[0] == pytest.approx(0.001)
    assert rates[3] == rates[5] == pytest.approx(0.005)  # the second epoch of two, warm-up is over
    assert "val/top1_acc_1x1" in (tmp_path / "work/metrics.json").read_text()
    again = train(
        tmp_path,
        "--resume-from",
        str(tmp_path / "work/model_0000002.pth"),
        "--work-dir",
        str(tmp_path / "new"),
        "--seed",
        "3",
    )
    assert again.returncode == 0, again.stderr[-2000:]
    assert "Going on from" in again.stderr + again.stdout

    one, other = (
        torch.load(tmp_path / name / "model_final.pth", weights_only=True)["model"] for name in ("work", "new")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)
