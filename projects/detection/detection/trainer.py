"""What detection changes of a training: its data, its model's weights and its evaluation."""

import logging
from pathlib import Path
from typing import Any

from steploop.config import CfgNode, ConfigError
from steploop.engine import DefaultTrainer, comm

from .evaluation import CocoEvaluator
from .loaders import data_of, test_loader, train_loader
from .model import num_classes_in
from .weights import describe_weights, detector_converter

logger = logging.getLogger(__name__)

# The batch that the published learning rates are for.
_USUAL_BATCH = 16


class DetectionTrainer(DefaultTrainer):
    """Trains on the data sets of DATASETS.TRAIN and measures COCO's figures on those of DATASETS.TEST."""

    def __init__(self, cfg: CfgNode) -> None:
        # Read before anything is trained: what is missing or wrong is an error now, and not hours later.
        self.classes = data_of(cfg, tuple(cfg.DATASETS.TRAIN), training=True).classes
        for name in cfg.DATASETS.TEST:
            self.build_evaluator(cfg, name)
        super().__init__(with_scaled_rate(with_num_classes(cfg, self.classes)))
        self.checkpointer.add_checkpointable("classes", ClassNames(self.classes))

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the last checkpoint of OUTPUT_DIR, or start from MODEL.WEIGHTS, whoever trained them."""
        weights = self.cfg.MODEL.WEIGHTS
        file_classes = describe_weights(weights).classes if weights and Path(weights).is_file() else ()
        self.checkpointer.convert = detector_converter(
            len(self.classes),
            classes=self.classes,
            file_classes=file_classes,
            by_class=self.cfg.MODEL.KEEP_CLASS_ROWS,
        )
        super().resume_or_load(resume=resume)

    @classmethod
    def build_name_conversion(cls, cfg: CfgNode) -> Any:
        """Return what brings the names and rows of other libraries to the detector's."""
        return detector_converter(cfg.MODEL.NUM_CLASSES)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Return an endless loader of the training images."""
        return train_loader(cfg, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_val_loader(cls, cfg: CfgNode) -> Any:
        """Return a loader of DATASETS.VAL by the training pipeline; only losses are measured on it."""
        names = tuple(cfg.DATASETS.VAL)
        return test_loader(cfg, names, training=True, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Return this process's part of a test set."""
        names = (dataset_name,)
        return test_loader(cfg, names, training=False, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> CocoEvaluator:
        """Return what measures COCO's figures and draws detections.

        Raises:
            ConfigError: the test set has other classes than the training set.
        """
        data = data_of(cfg, (dataset_name,), training=False)
        classes = data_of(cfg, tuple(cfg.DATASETS.TRAIN), training=True).classes
        if data.classes != classes:
            raise ConfigError(
                f"the test set {dataset_name} has the classes {', '.join(data.classes)}, the training set has "
                f"{', '.join(classes)}: give both the same `classes`"
            )
        return CocoEvaluator(
            dataset_name,
            data,
            output_dir=cfg.OUTPUT_DIR,
            metrics=cfg.TEST.METRICS,
            classwise=cfg.TEST.CLASSWISE,
            num_pictures=cfg.TEST.VIS_IMAGES,
            picture_score=cfg.TEST.VIS_SCORE,
        )


class ClassNames:
    """Keeps the names of the labels in the checkpoints, so that a predictor, or another training, knows them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = list(names)

    def state_dict(self) -> dict[str, Any]:
        """Return the names."""
        return {"names": self.names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the checkpoint was trained on the same classes."""
        if state_dict["names"] != self.names:
            raise ConfigError(
                f"the checkpoint was trained on the classes {', '.join(state_dict['names'])}, this run on "
                f"{', '.join(self.names)}: start from it with MODEL.WEIGHTS in place of --resume"
            )


def with_num_classes(cfg: CfgNode, classes: tuple[str, ...]) -> CfgNode:
    """Return `cfg` with MODEL.NUM_CLASSES filled in from the data.

    Raises:
        ConfigError: it is another number than that of the data's classes.
    """
    if cfg.MODEL.NUM_CLASSES not in (0, len(classes)):
        raise ConfigError(
            f"MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}, and the training set has {len(classes)} classes: "
            f"{', '.join(classes[:100])}. Set it to 0, or choose `classes` in the data set's spec"
        )
    asked = num_classes_in(cfg.MODEL.SPEC.to_dict())
    if asked not in (None, len(classes)):
        logger.warning(
            "MODEL.SPEC has num_classes=%d; the training set has %d classes, and so has the model", asked, len(classes)
        )
    return _changed(cfg, "MODEL", "NUM_CLASSES", len(classes))


def with_scaled_rate(cfg: CfgNode) -> CfgNode:
    """Return `cfg` with BASE_LR scaled from SOLVER.REFERENCE_BATCH to IMS_PER_BATCH, and say so in the log."""
    batch, reference, rate = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_BATCH, cfg.SOLVER.BASE_LR
    if not reference:
        if batch < _USUAL_BATCH and rate >= 0.01 and cfg.SOLVER.OPT == "SGD" and not cfg.MODEL.BACKBONE_WEIGHTS:
            logger.warning(
                "SOLVER.BASE_LR %g with batches of %d: published rates (.02, .01) are for batches of %d. If it is one "
                "of those, set SOLVER.REFERENCE_BATCH %d, which scales it to %g",
                rate,
                batch,
                _USUAL_BATCH,
                _USUAL_BATCH,
                rate * batch / _USUAL_BATCH,
            )
        return cfg
    scaled = rate * batch / reference
    logger.info(
        "Learning rate: %g for batches of %d (SOLVER.REFERENCE_BATCH) is %g for %d", rate, reference, scaled, batch
    )
    end = cfg.SOLVER.BASE_LR_END * batch / reference
    cfg = _changed(cfg, "SOLVER", "BASE_LR_END", end)
    cfg = _changed(cfg, "SOLVER", "REFERENCE_BATCH", 0)  # done: the config of the run has the scaled rate
    return _changed(cfg, "SOLVER", "BASE_LR", scaled)


def _changed(cfg: CfgNode, section: str, key: str, value: Any) -> CfgNode:
    frozen = cfg.is_frozen()
    cfg = cfg.clone()
    cfg.defrost()
    cfg[section][key] = value
    if frozen:
        cfg.freeze()
    return cfg
