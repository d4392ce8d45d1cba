"""From a config to the records and the loaders of detection."""

import functools
import json
from typing import Any

import numpy as np

from steploop.config import CfgNode, ConfigError
from steploop.config.errors import nearest
from steploop.data import (
    GroupSampler,
    MappedDataset,
    StepBatchSampler,
    TrainingSampler,
    TrainLoader,
    aspect_ratio_groups,
    build_test_loader,
)

from .data import DetectionData, PipelineMapper, build_dataset, collate_padded
from .data.datasets import joined


def data_of(cfg: CfgNode, names: tuple[str, ...], *, training: bool) -> DetectionData:
    """Return the records of the data sets of these names in DATASETS.SPECS, joined; read once in a process.

    Raises:
        ConfigError: a name has no spec, or there is no name.
        AnnotationError, FileNotFoundError, ValueError: see `build_dataset`.
    """
    if not names:
        raise ConfigError("DATASETS.TRAIN is empty: name at least one data set of DATASETS.SPECS")
    parts = []
    for name in names:
        if name not in cfg.DATASETS.SPECS:
            close = nearest(name, cfg.DATASETS.SPECS)
            hint = f"; did you mean {close}?" if close else ""
            known = ", ".join(cfg.DATASETS.SPECS) or "nothing"
            raise ConfigError(f"DATASETS.SPECS has no data set {name!r}{hint} It has {known}")
        spec = _as_dict(cfg.DATASETS.SPECS[name])
        pipeline = cfg.INPUT.TRAIN_PIPELINE if training else cfg.INPUT.TEST_PIPELINE
        parts.append(_read(json.dumps([spec, list(pipeline)]), training))
    return parts[0] if len(parts) == 1 else joined(parts)


def train_loader(cfg: CfgNode, *, rank: int, world_size: int) -> TrainLoader:
    """Return an endless loader of DATASETS.TRAIN.

    Raises:
        ValueError: the batch cannot be split over the processes and micro-batches.
    """
    data = data_of(cfg, tuple(cfg.DATASETS.TRAIN), training=True)
    sampler: Any = TrainingSampler(len(data.records), seed=cfg.SEED)
    if cfg.DATALOADER.ASPECT_RATIO_GROUPING:
        sizes = [(record.width, record.height) for record in data.records]
        sampler = GroupSampler(aspect_ratio_groups(sizes), cfg.SOLVER.IMS_PER_BATCH, seed=cfg.SEED)
    batches = StepBatchSampler(
        sampler, cfg.SOLVER.IMS_PER_BATCH, rank=rank, world_size=world_size, micro_batches=cfg.SOLVER.ACCUMULATE
    )
    dataset = MappedDataset(data.records, PipelineMapper(data.built_pipelines()), cfg.SEED)
    return TrainLoader(
        dataset, batches, num_workers=cfg.DATALOADER.NUM_WORKERS, seed=cfg.SEED, collate_fn=collate_padded
    )


def test_loader(cfg: CfgNode, names: tuple[str, ...], *, training: bool, rank: int, world_size: int) -> Any:
    """Return a loader of this process's part of data sets, each image once.

    Args:
        training: make samples by the training pipeline, for the losses of DATASETS.VAL.
    """
    data = data_of(cfg, names, training=training)
    dataset = MappedDataset(data.records, PipelineMapper(data.built_pipelines()), max(cfg.SEED, 0))
    return build_test_loader(
        dataset,
        cfg.TEST.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        collate_fn=collate_padded,
    )


@functools.lru_cache(maxsize=16)
def _read(text: str, training: bool) -> DetectionData:
    spec, pipeline = json.loads(text)
    return build_dataset(_with_pipeline(spec, pipeline), training=training)


def _with_pipeline(spec: dict[str, Any], pipeline: list[Any]) -> dict[str, Any]:
    """Return the spec in which every data set of files has a pipeline."""
    spec = dict(spec)
    if "dataset" in spec:
        spec["dataset"] = _with_pipeline(spec["dataset"], pipeline)
    elif "datasets" in spec:
        spec["datasets"] = [_with_pipeline(part, pipeline) for part in spec["datasets"]]
    else:
        spec.setdefault("pipeline", pipeline)
    return spec


def _as_dict(value: Any) -> Any:
    return value.to_dict() if isinstance(value, CfgNode) else value


def class_counts(data: DetectionData) -> "np.ndarray[Any, Any]":
    """Return the number of boxes of each class."""
    labels = np.concatenate([record.labels for record in data.records] or [np.zeros(0, dtype=np.int64)])
    return np.bincount(labels, minlength=len(data.classes))
