import gzip
import json

import pytest

from mm_files import published
from shared_files import shared
from steploop.config import ConfigError, get_cfg, merge_options
from steploop.projects.detection import add_detection_config, detection_from_mm
from steploop.projects.detection.mm_config import IGNORED


def merged(config, **options):
    cfg = get_cfg()
    add_detection_config(cfg)
    cfg.merge_from_other_cfg(detection_from_mm(config, **options))
    return cfg


def test_faster_rcnn_1x():
    cfg = merged(published("faster_rcnn/faster_rcnn_r50_fpn_1x_coco"), num_processes=8)
    solver = cfg.SOLVER
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.MAX_EPOCH, solver.STEPS) == (16, 0.02, 12, (8, 11))
    assert (solver.WARMUP_ITERS, solver.WARMUP_FACTOR, solver.GAMMA) == (500, 0.001, 0.1)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM, solver.MOMENTUM) == (1e-4, None, 0.9)
    assert (solver.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD, cfg.LOG_PERIOD) == (1, 1, 50)
    assert cfg.MODEL.SPEC.type == "FasterRCNN" and cfg.MODEL.SPEC.train_cfg.rcnn.sampler.num == 512
    assert cfg.MODEL.PIXEL_ORDER == "RGB" and cfg.DATASETS.TRAIN == ("train",) and cfg.DATASETS.TEST == ("val",)


def test_all_published_configs_of_the_two_models_are_read_or_refused_by_name():
    with gzip.open(shared("golden/mm_configs.json.gz"), "rt") as stream:
        names = [name for name in json.load(stream) if "/faster_rcnn/" in name or "/retinanet/" in name]
    refused = []
    for name in names:
        try:
            merged(published(name.partition("configs/")[2].removesuffix(".py")))
        except ConfigError as err:
            refused.append((name, str(err)))
    assert len(names) == 40 and len(refused) == 1 and "bypass_duplicate is not supported" in refused[0][1]


def test_caffe_and_auto_scale():
    config = published("retinanet/retinanet_r50_caffe_fpn_1x_coco")
    cfg = merged(
        merge_options({**config, "optimizer_config": {"grad_clip": {"max_norm": 35}}}, ["auto_scale_lr.enable=True"])
    )
    assert cfg.MODEL.PIXEL_ORDER == "BGR" and cfg.MODEL.PIXEL_STD == [1.0, 1.0, 1.0]
    assert cfg.MODEL.SPEC.backbone.style == "caffe" and cfg.SOLVER.REFERENCE_BATCH == 16
    assert cfg.SOLVER.CLIP_GRADIENTS.ENABLED and cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE == 35


def test_other_settings():
    config = published("faster_rcnn/faster_rcnn_r50_fpn_1x_coco")
    options = [
        "lr_config.policy=CosineAnnealing",
        "lr_config.min_lr_ratio=0.01",
        "optimizer.paramwise_cfg.norm_decay_mult=0",
        "workflow=[(train,2),(val,1)]",
        "log_config.hooks=[]",
        "seed=5",
    ]
    config = merge_options(config, options)
    del config["lr_config"]["step"]
    cfg = merged(config)
    assert cfg.SOLVER.LR_SCHEDULER_NAME == "WarmupCosineLR" and pytest.approx(2e-4) == cfg.SOLVER.BASE_LR_END
    assert cfg.SOLVER.WEIGHT_DECAY_NORM == 0 and cfg.DATASETS.VAL == ("val",) and cfg.SEED == 5
    iterations = published("faster_rcnn/faster_rcnn_r50_caffe_fpn_90k_coco")
    cfg = merged(iterations)
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.MAX_EPOCH, cfg.SOLVER.STEPS) == (90000, 0, (60000, 80000))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("mystery=1", "mystery"),
        ("lr_config.policy=Exotic", "Exotic"),
        ("lr_config.target_ratio=1", "target_ratio"),
        ("runner.type=StrangeRunner", "StrangeRunner"),
        ("evaluation.metric=segm", "segm"),
        ("optimizer.paramwise_cfg.custom_keys=1", "custom_keys"),
        ("optimizer_config.type=OhemHook", "OhemHook"),
        ("log_config.hooks=[{}]".replace("{}", "x"), "hooks|str"),
        ("workflow=[(val,1)]", "workflow"),
        ("data.extra=1", "train, val and test"),
        ("checkpoint_config.by_epoch=False", "checkpoint_config.by_epoch"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(option, message):
    config = merge_options(published("faster_rcnn/faster_rcnn_r50_fpn_1x_coco"), [option])
    with pytest.raises((ConfigError, AttributeError), match=message):
        detection_from_mm(config)


def test_what_is_missing_is_named():
    config = published("faster_rcnn/faster_rcnn_r50_fpn_1x_coco")
    del config["data"]
    with pytest.raises(ConfigError, match="no 'data'"):
        detection_from_mm(config)
    assert all(reason for reason in IGNORED.values())
