"""What re-identification changes of a training: its data, its evaluation, and a picture of it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steploop.config import CfgNode, resolve_device
from steploop.engine import DefaultTrainer, HookBase, comm, get_event_storage, has_event_storage
from steploop.engine.checkpoint import Convert
from steploop.engine.hooks import GradientClipping
from steploop.modeling import pretrained_parts

# Importing them registers the models and the data sets.
from . import modeling  # noqa: F401
from .clipping import GroupGradientClipping
from .data import (
    ReidDataset,
    build_reid_test_loader,
    build_reid_train_loader,
    each_dataset_read_once,
    get_dataset,
    get_train_dataset,
)
from .evaluation import QueryExpansion, RankingOptions, ReidEvaluator, Reranking
from .fastreid.pretrained import find_pretrained
from .modeling.zoo import convert_reid
from .schedules import NAMES as EPOCH_SCHEDULES
from .schedules import build_epoch_schedule
from .visualization import visualize_ranking

logger = logging.getLogger(__name__)


class ReidTrainer(DefaultTrainer):
    """Trains on the identities of DATASETS.TRAIN; evaluates queries against galleries of DATASETS.TEST."""

    def __init__(self, cfg: CfgNode) -> None:
        # Read before anything is trained, so that a missing or empty set is an error now and not hours later;
        # and so is a wrong setting of the evaluation.
        with each_dataset_read_once():
            for name in dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]):
                log_statistics(get_dataset(name))
            for name in cfg.DATASETS.TEST:
                self.build_test_loader(cfg, name)
                self.build_evaluator(cfg, name)
            super().__init__(with_training_set(cfg))

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer that SOLVER describes, with HEADS_LR_FACTOR for the module "heads"."""
        if cfg.SOLVER.HEADS_LR_FACTOR != 1.0:
            factors = [*cfg.SOLVER.LR_FACTORS, ["heads", cfg.SOLVER.HEADS_LR_FACTOR]]
            cfg = cfg.changed(**{"SOLVER.LR_FACTORS": factors})
        return super().build_optimizer(cfg, model)

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """Return the schedule that SOLVER describes, one of the engine's or one by epochs."""
        if cfg.SOLVER.LR_SCHEDULER_NAME in EPOCH_SCHEDULES:
            return build_epoch_schedule(cfg, optimizer)
        return super().build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_pretrained_parts(cls, cfg: CfgNode, model: nn.Module) -> Mapping[str, Any]:
        """Return what parts of a new run's model start from, looked for by name in the usual places."""
        parts = pretrained_parts(model)
        return {name: part._replace(path=find_pretrained(part.path)) for name, part in parts.items()}

    @classmethod
    def build_name_conversion(cls, cfg: CfgNode) -> Convert:
        """Return what brings the entries of MODEL.WEIGHTS to the model's names: `convert_reid`."""
        return convert_reid

    def build_hooks(self) -> list[HookBase | None]:
        """Return the engine's hooks, with gradients clipped group by group if that is asked for."""
        hooks = super().build_hooks()
        clip = self.cfg.SOLVER.CLIP_GRADIENTS
        if clip.ENABLED and clip.PER_GROUP and clip.CLIP_TYPE == "norm":
            by_group = GroupGradientClipping(clip.CLIP_VALUE, clip.NORM_TYPE)
            hooks = [by_group if isinstance(hook, GradientClipping) else hook for hook in hooks]
        return hooks

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Return an endless loader of the training images."""
        dataset = train_dataset(cfg)
        return build_reid_train_loader(
            cfg, dataset, seed=cfg.SEED, rank=comm.get_rank(), world_size=comm.get_world_size()
        )

    @classmethod
    def build_val_loader(cls, cfg: CfgNode) -> Any:
        """Refuse: people who were not trained on are no classes of the heads, so nothing has a loss.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "DATASETS.VAL cannot be measured here: identities that were not trained on have no class, and so no loss. "
            "Name the set in DATASETS.TEST, and watch its mAP (TEST.EVAL_PERIOD)"
        )

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Return this process's part of the queries and the gallery."""
        dataset = get_dataset(dataset_name)
        return build_reid_test_loader(cfg, dataset, rank=comm.get_rank(), world_size=comm.get_world_size())[0]

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> ReidEvaluator:
        """Return what measures Rank-k, mAP and mINP, and draws ranked retrievals."""
        return PicturingEvaluator(cfg, dataset_name)


class PicturingEvaluator(ReidEvaluator):
    """Draws the first ranks of some queries after measuring all of them.

    The picture is OUTPUT_DIR/retrievals_<data set>.png (a "/" of its name becomes "_") and, while a run trains, an
    image in TensorBoard.

    Raises:
        ValueError: a value of TEST is out of its range, TEST.VIS_QUERIES is negative, or there is no query.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        super().__init__(len(get_dataset(dataset_name).query), ranking_options(cfg))
        self._num_queries = cfg.TEST.VIS_QUERIES
        if self._num_queries < 0:
            raise ValueError(f"expected TEST.VIS_QUERIES >= 0 queries to draw, got {self._num_queries}")
        self._path = Path(cfg.OUTPUT_DIR) / f"retrievals_{dataset_name.replace('/', '_')}.png"
        self._title = dataset_name

    def evaluate(self) -> Any:
        """Return the figures; write the picture in the main process."""
        figures = super().evaluate()
        if self.retrieval is not None and self._num_queries:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            picture = visualize_ranking(
                self.retrieval, num_queries=self._num_queries, path=self._path, title=self._title
            )
            logger.info("Ranked retrievals drawn in %s", self._path)
            if has_event_storage():
                get_event_storage().put_image(f"{self._title}/retrievals", torch.from_numpy(picture))
        return figures


def ranking_options(cfg: CfgNode) -> RankingOptions:
    """Return what TEST says of ranking.

    Raises:
        ValueError: a value is out of its range.
    """
    test = cfg.TEST
    return RankingOptions(
        metric=test.METRIC,
        memory_mib=test.MEMORY_MIB,
        device=resolve_device(cfg.MODEL.DEVICE),
        expansion=QueryExpansion(test.AQE.QE_TIME, test.AQE.QE_K, test.AQE.ALPHA) if test.AQE.ENABLED else None,
        reranking=Reranking(test.RERANK.K1, test.RERANK.K2, test.RERANK.LAMBDA) if test.RERANK.ENABLED else None,
        verification=test.ROC.ENABLED,
        protocol=test.PROTOCOL,
        num_draws=test.NUM_DRAWS,
    )


def train_dataset(cfg: CfgNode) -> ReidDataset:
    """Return the data set that the config trains on."""
    return get_train_dataset(cfg.DATASETS.TRAIN, cfg.INPUT.TURNS, combine_all=cfg.DATASETS.COMBINEALL)


def with_training_set(cfg: CfgNode) -> CfgNode:
    """Return `cfg` with what the training set says, where it was left open: NUM_CLASSES and EPOCH_ITERS.

    Raises:
        ValueError: an epoch has less than one batch.
    """
    by_epoch = cfg.SOLVER.LR_SCHEDULER_NAME in EPOCH_SCHEDULES and not cfg.SOLVER.EPOCH_ITERS
    if cfg.MODEL.HEADS.NUM_CLASSES > 0 and not by_epoch:
        return cfg
    dataset = train_dataset(cfg)
    values: dict[str, Any] = {"MODEL.HEADS.NUM_CLASSES": cfg.MODEL.HEADS.NUM_CLASSES or dataset.num_pids}
    if by_epoch:
        values["SOLVER.EPOCH_ITERS"] = len(dataset.train) // cfg.SOLVER.IMS_PER_BATCH
        if not values["SOLVER.EPOCH_ITERS"]:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} is more than the {len(dataset.train)} images to "
                "train on: lower it"
            )
    return cfg.changed(**values)


def log_statistics(dataset: ReidDataset) -> None:
    """Write the table of a data set into the log."""
    logger.info("Data set %s:\n%s", dataset.name, dataset.statistics())
