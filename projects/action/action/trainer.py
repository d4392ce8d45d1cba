"""What action recognition changes of a training: its data, its model's weights and its evaluation."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steploop.config import CfgNode, ConfigError
from steploop.data.video import load_index
from steploop.engine import DefaultTrainer, comm
from steploop.engine.checkpoint import Convert

# Importing it registers the model.
from . import modeling  # noqa: F401
from .data.datasets import ClipDataset, dataset_of
from .evaluation import ActionEvaluator
from .loaders import pipeline_of, test_loader, train_loader, training_set
from .weights import as_recognizer

logger = logging.getLogger(__name__)

# The batch that published learning rates are for.
_USUAL_BATCH = 64


class ActionTrainer(DefaultTrainer):
    """Trains on the videos of DATASETS.TRAIN and measures accuracies on those of DATASETS.TEST."""

    def __init__(self, cfg: CfgNode) -> None:
        # Read before anything is trained: what is missing or wrong is an error now, and not hours later.
        dataset = training_set(cfg)
        cfg = with_num_classes(cfg, dataset)
        for name in dict.fromkeys([*cfg.DATASETS.TEST, *cfg.DATASETS.VAL]):
            check_test_set(cfg, name, dataset)
        dataset.check(cfg.MODEL.NUM_CLASSES)
        _check_first(cfg, dataset)
        _warn_of_rate(cfg)
        logger.info("%d videos of %d classes to train on", len(dataset.items), cfg.MODEL.NUM_CLASSES)
        super().__init__(cfg)
        self.classes = class_names(dataset, cfg.MODEL.NUM_CLASSES)
        self.checkpointer.add_checkpointable("classes", ClassNames(self.classes))

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the last checkpoint of OUTPUT_DIR, or from SOLVER.RESUME_FROM, or start from MODEL.WEIGHTS."""
        source = self.cfg.SOLVER.RESUME_FROM
        if not source or (resume and self.checkpointer.has_checkpoint()):
            super().resume_or_load(resume=resume)
            return
        if not Path(source).is_file():
            raise FileNotFoundError(f"there is no checkpoint {source} to go on from (--resume-from)")
        report = self.checkpointer.load(source)
        if self.completed_iter < 0:
            raise ConfigError(
                f"{source} has no state of a training of ours, so a run cannot go on from it: start from its weights "
                "with --load-from"
            )
        self.start_iter = self.iter + 1
        self._has_start = True
        logger.info("Going on from %s, iteration %s", source, report.get("iteration", self.iter))

    @classmethod
    def build_name_conversion(cls, cfg: CfgNode) -> Convert:
        """Return what brings files of MMAction2, pytorchvideo and PySlowFast to the model's names."""
        return as_recognizer

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Return an endless loader of the training clips."""
        return train_loader(cfg, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_val_loader(cls, cfg: CfgNode) -> Any:
        """Return a loader of DATASETS.VAL; only losses are measured on it."""
        if len(cfg.DATASETS.VAL) != 1:
            raise ConfigError(f"DATASETS.VAL names one set whose losses are measured; came {cfg.DATASETS.VAL}")
        return test_loader(cfg, cfg.DATASETS.VAL[0], rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Return this process's part of a test set."""
        return test_loader(cfg, dataset_name, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> ActionEvaluator:
        """Return what measures accuracies and draws clips and the confusion matrix."""
        dataset = dataset_of(cfg, dataset_name)
        pipeline = pipeline_of(cfg, dataset, training=False)
        return ActionEvaluator(
            dataset_name,
            class_names(training_set(cfg), cfg.MODEL.NUM_CLASSES),
            views=(pipeline.num_clips, pipeline.num_crops),
            average=cfg.TEST.AVERAGE_CLIPS,
            topk=cfg.TEST.TOPK,
            multi_class=dataset.multi_class,
            output_dir=cfg.OUTPUT_DIR,
            num_pictures=cfg.TEST.VIS_CLIPS,
        )


class ClassNames:
    """Keeps the names of the labels in the checkpoints, so that a predictor knows them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = list(names)

    def state_dict(self) -> dict[str, Any]:
        """Return the names."""
        return {"names": self.names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Check that the checkpoint was trained on the same classes.

        Raises:
            ConfigError: it was not.
        """
        if state_dict["names"] != self.names:
            raise ConfigError(
                f"the checkpoint was trained on the classes {', '.join(state_dict['names'])}, this run on "
                f"{', '.join(self.names)}: start from it with MODEL.WEIGHTS in place of --resume"
            )


def class_names(dataset: ClipDataset, count: int) -> tuple[str, ...]:
    """Return `count` names; classes that nothing names are "class 0", "class 1", ..."""
    return (*dataset.classes, *(f"class {label}" for label in range(len(dataset.classes), count)))


def class_names_in(checkpoint: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the labels that a checkpoint of ours holds; () where it has none."""
    names = checkpoint.get("classes")
    names = names.get("names") if isinstance(names, Mapping) else None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def with_num_classes(cfg: CfgNode, dataset: ClipDataset) -> CfgNode:
    """Return `cfg` with MODEL.NUM_CLASSES filled in: that of the model's spec, or of the training set.

    Raises:
        ConfigError: the training set has more classes than the model.
    """
    head = cfg.MODEL.SPEC.to_dict().get("cls_head") or {}
    count = cfg.MODEL.NUM_CLASSES or head.get("num_classes") or dataset.num_classes
    if dataset.classes and len(dataset.classes) > count:
        raise ConfigError(
            f"the training set names {len(dataset.classes)} classes, and the model has {count} (MODEL.NUM_CLASSES, or "
            "num_classes of its cls_head): set MODEL.NUM_CLASSES"
        )
    if count == cfg.MODEL.NUM_CLASSES:
        return cfg
    frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.NUM_CLASSES = int(count)
    if frozen:
        cfg.freeze()
    return cfg


def check_test_set(cfg: CfgNode, name: str, training: ClipDataset) -> None:
    """Refuse a test set that does not fit the training set.

    Raises:
        ConfigError: its labels, classes or kind of labels are others.
    """
    dataset = dataset_of(cfg, name)
    dataset.check(cfg.MODEL.NUM_CLASSES)
    if dataset.multi_class != training.multi_class:
        raise ConfigError(f"the set {name} and the training set differ in multi_class")
    if dataset.classes and training.classes and dataset.classes != training.classes:
        raise ConfigError(
            f"the set {name} has the classes {', '.join(dataset.classes)}, the training set has "
            f"{', '.join(training.classes)}: give both the same `classes`"
        )


def _check_first(cfg: CfgNode, dataset: ClipDataset) -> None:
    """Look at the first video: where none of the files is there, the prefix is wrong, and the error comes now."""
    first = dataset.items[0]
    if first.is_folder:
        if not Path(first.path).is_dir():
            raise FileNotFoundError(f"folder of frames {first.path} does not exist: is data_prefix right?")
    elif not Path(first.path).is_file():
        raise FileNotFoundError(f"video {first.path} does not exist: is data_prefix right?")
    elif cfg.DATALOADER.BROKEN_VIDEOS == "error":
        load_index(first.path, cfg.DATALOADER.VIDEO_INDEX_DIR or None)


def _warn_of_rate(cfg: CfgNode) -> None:
    """Say when a published learning rate meets a small batch."""
    batch, rate = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR
    if batch < _USUAL_BATCH and rate >= 0.1 and cfg.SOLVER.OPT == "SGD" and not cfg.MODEL.WEIGHTS:
        logger.warning(
            "SOLVER.BASE_LR %g with batches of %d: published rates (0.1) are for batches of %d; in proportion: %g",
            rate,
            batch,
            _USUAL_BATCH,
            rate * batch / _USUAL_BATCH,
        )
