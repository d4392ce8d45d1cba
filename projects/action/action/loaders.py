"""Loaders of clips from a config."""

from pathlib import Path
from typing import Any

from steploop import data
from steploop.config import CfgNode, ConfigError
from steploop.data.video import FrameCache

from .data.datasets import ClipDataset, dataset_of, join
from .data.mapper import BROKEN_FILE, ClipMapper, VideoReader
from .data.pipeline import Pipeline


def pipeline_of(cfg: CfgNode, dataset: ClipDataset, *, training: bool) -> Pipeline:
    """Return the pipeline of a data set: its own, or that of INPUT.

    Raises:
        ConfigError: there is none, or a step is wrong.
    """
    steps = dataset.pipeline or (cfg.INPUT.TRAIN_PIPELINE if training else cfg.INPUT.TEST_PIPELINE)
    if not steps:
        key = "TRAIN_PIPELINE" if training else "TEST_PIPELINE"
        raise ConfigError(f"no pipeline: give the data set's spec one, or set INPUT.{key}")
    return Pipeline([dict(step) for step in steps])


def training_set(cfg: CfgNode) -> ClipDataset:
    """Return the sets of DATASETS.TRAIN as one.

    Raises:
        ConfigError: there is none, or they differ in their classes or pipelines.
    """
    if not cfg.DATASETS.TRAIN:
        raise ConfigError("DATASETS.TRAIN is empty: name at least one data set of DATASETS.SPECS")
    return join([dataset_of(cfg, name) for name in cfg.DATASETS.TRAIN])


def build_reader(cfg: CfgNode, pipeline: Pipeline) -> VideoReader:
    """Return what reads frames as DATALOADER says."""
    options = cfg.DATALOADER
    cache = None
    if options.VIDEO_CACHE:
        cache = FrameCache(
            options.VIDEO_CACHE_DIR or str(Path(cfg.OUTPUT_DIR) / "video_cache"),
            short_side=pipeline.short_side,
            format=options.VIDEO_CACHE,
            mebibytes=options.VIDEO_CACHE_MIB,
        )
    return VideoReader(
        short_side=pipeline.short_side,
        cache=cache,
        index_folder=options.VIDEO_INDEX_DIR or None,
        timeout=options.VIDEO_TIMEOUT,
    )


def build_mapper(cfg: CfgNode, dataset: ClipDataset, items: Any, *, training: bool) -> ClipMapper:
    """Return what makes samples of a data set."""
    pipeline = pipeline_of(cfg, dataset, training=training)
    return ClipMapper(
        pipeline,
        build_reader(cfg, pipeline),
        items=items,
        broken=cfg.DATALOADER.BROKEN_VIDEOS if training else "error",
        broken_file=str(Path(cfg.OUTPUT_DIR) / BROKEN_FILE) if training else "",
        num_classes=cfg.MODEL.NUM_CLASSES if dataset.multi_class else 0,
    )


def train_loader(cfg: CfgNode, *, rank: int = 0, world_size: int = 1) -> Any:
    """Return an endless loader of DATASETS.TRAIN.

    A batch is {"imgs": uint8 (N, clips, 3, T, H, W), "label": int64 (N,) or float32 (N, classes), "path": list of str,
    "broken": int64 (N,), how many videos were left out for each sample}.
    """
    dataset = training_set(cfg)
    items = data.as_records(list(dataset.items))
    sampler = data.build_train_sampler(cfg, items, cfg.SEED)
    mapper = build_mapper(cfg, dataset, items, training=True)
    return data.build_train_loader(cfg, items, sampler, mapper=mapper, rank=rank, world_size=world_size)


def test_loader(cfg: CfgNode, name: str, *, training: bool = False, rank: int = 0, world_size: int = 1) -> Any:
    """Return this process's part of a set, each video once.

    Args:
        cfg: the config.
        name: in DATASETS.SPECS.
        training: whether its samples are made by the training's pipeline, for a validation loss.
        rank: this process.
        world_size: number of processes.
    """
    dataset = dataset_of(cfg, name)
    items = data.as_records(list(dataset.items))
    mapper = build_mapper(cfg, dataset, items, training=training)
    return data.build_test_loader(
        data.MappedDataset(items, mapper),
        cfg.TEST.IMS_PER_BATCH,
        rank=rank,
        world_size=world_size,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        pin_memory=data.is_on_gpu(cfg),
    )
