"""A project in miniature: what a subclass of DefaultTrainer needs to train without images."""

import argparse

import torch

from steploop.config import CfgNode
from steploop.data import DatasetCatalog
from steploop.engine import DatasetEvaluator, DefaultTrainer, build_default_config
from tiny import TinyModel


def samples() -> list[dict[str, torch.Tensor]]:
    return [{"x": row} for row in torch.randn(40, 3, generator=torch.Generator().manual_seed(1))]


if "tiny" not in DatasetCatalog:
    DatasetCatalog.register("tiny", samples)


class MeanOutput(DatasetEvaluator):
    def reset(self):
        self.values = []

    def process(self, inputs, outputs):
        self.values.append(float(outputs["loss"]))

    def evaluate(self):
        return {"mean": sum(self.values) / len(self.values)}


class TinyTrainer(DefaultTrainer):
    @classmethod
    def build_model(cls, cfg):
        return TinyModel()

    @classmethod
    def build_evaluator(cls, cfg, dataset_name):
        return MeanOutput()


def tiny_cfg(output_dir, *overrides) -> CfgNode:
    cfg = build_default_config()
    cfg.merge_from_list(
        [
            *("OUTPUT_DIR", str(output_dir), "SEED", "3", "MODEL.DEVICE", "cpu"),
            *("DATASETS.TRAIN", "('tiny',)", "DATALOADER.NUM_WORKERS", "0", "SOLVER.WARMUP_ITERS", "0"),
            *("SOLVER.IMS_PER_BATCH", "4", "SOLVER.MAX_ITER", "10", "SOLVER.CHECKPOINT_PERIOD", "4", "LOG_PERIOD", "2"),
            *("SOLVER.STEPS", "()"),
            *map(str, overrides),
        ]
    )
    return cfg


def tiny_args(**changes) -> argparse.Namespace:
    return argparse.Namespace(
        **{"config_file": "", "resume": False, "eval_only": False, "num_gpus": 1, "opts": [], **changes}
    )
