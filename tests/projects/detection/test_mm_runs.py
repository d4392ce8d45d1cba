"""Published mm configs on the command line: two steps, a checkpoint, --resume and --eval-only."""

from pathlib import Path

import pytest

from detection_data import write_data
from mm_files import write_published
from steploop.engine import default_argument_parser, default_setup
from steploop.engine.cli.mm_family import add_mm_arguments, setup_mm_config
from steploop.projects.detection import add_detection_config, detection_from_mm
from steploop.projects.detection.trainer import DetectionTrainer


def config_of(*arguments):
    parser = default_argument_parser()
    add_mm_arguments(parser)
    args = parser.parse_args(list(map(str, arguments)))
    return setup_mm_config(args, add_detection_config, detection_from_mm), args


def arguments(tmp_path, name):
    path = write_data(tmp_path / "data")
    options = [f"data.{part}.ann_file={path}" for part in ("train", "val", "test")]
    options += [f"data.{part}.img_prefix={tmp_path / 'data'}" for part in ("train", "val", "test")]
    # Only smaller: a step of 800 x 1333 pixels takes a minute on a CPU.
    options += ["data.train.pipeline.2.img_scale=(96,64)", "data.workers_per_gpu=0", "auto_scale_lr.enable=True"]
    options += [f"data.{part}.pipeline.1.img_scale=(96,64)" for part in ("val", "test")]
    file = write_published(name, tmp_path / "configs")
    return ["--config-file", file, "--work-dir", tmp_path / "out", "--cfg-options", *options, "--seed", 1]


@pytest.mark.parametrize("name", ["faster_rcnn/faster_rcnn_r50_fpn_1x_coco", "retinanet/retinanet_r50_fpn_1x_coco"])
def test_two_steps_and_resume(tmp_path, name):
    short = ["SOLVER.MAX_EPOCH", 0, "SOLVER.STEPS", "()", "SOLVER.CHECKPOINT_PERIOD", 1, "SOLVER.WARMUP_ITERS", 0]
    common = [*arguments(tmp_path, name), *short, "TEST.EVAL_PERIOD", 0, "MODEL.DEVICE", "cpu", "WRITERS", "('json',)"]
    cfg, args = config_of(*common, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()")
    default_setup(cfg, args)
    trainer = DetectionTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()
    rate = {"faster": 0.02, "retina": 0.01}[name[:6]]
    assert pytest.approx(rate * 2 / 16) == trainer.cfg.SOLVER.BASE_LR
    cfg, args = config_of(*common, "SOLVER.MAX_ITER", 2, "--auto-resume")
    default_setup(cfg, args)
    trainer = DetectionTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    assert trainer.start_iter == 1
    figures = trainer.train()
    assert set(figures["val"]) >= {"mAP", "mAP_50", "AP/red"}
    weights = Path(cfg.OUTPUT_DIR) / "model_final.pth"
    cfg, args = config_of(*common, "SOLVER.MAX_ITER", 2, "--eval-only", "--load-from", weights)
    trainer = DetectionTrainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    assert trainer.evaluate()["val"]["mAP"] == figures["val"]["mAP"]


def test_flags(tmp_path):
    common = arguments(tmp_path, "retinanet/retinanet_r50_fpn_1x_coco")
    cfg, args = config_of(*common, "--gpus", 2, "--validate", "--local_rank", 1, "MODEL.DEVICE", "cpu")
    assert args.num_gpus == 2 and cfg.SOLVER.IMS_PER_BATCH == 4 and cfg.SEED == 1
    cfg, args = config_of(*common, "--gpu-ids", 0, 1, 2, "--resume-from", "x.pth", "MODEL.DEVICE", "cpu")
    assert args.num_gpus == 3 and args.resume and cfg.MODEL.WEIGHTS == "x.pth"
    with pytest.raises(SystemExit):
        config_of(*common, "--gpus", 2, "--gpu-ids", 0, 1)
    with pytest.raises(ValueError, match="--cfg-options change an mm config"):
        config_of("--cfg-options", "a=1")
