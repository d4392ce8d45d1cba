"""What CenterFusion changes of a training: its data, its evaluation, and pictures of it."""

import functools
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steploop.config import CfgNode
from steploop.data import (
    MappedDataset,
    SharedRecords,
    build_test_loader,
    build_train_loader,
    build_train_sampler,
    is_on_gpu,
)
from steploop.engine import DefaultTrainer, comm, get_event_storage, has_event_storage

# Importing it registers the model.
from . import from_config
from .data.datasets import load_split, load_tables, locate, prepare
from .data.mapper import SampleMapper
from .data.records import Record
from .data.view import View
from .evaluation.boxes import camera_boxes
from .evaluation.evaluator import NuscenesEvaluator
from .evaluation.report import draw_curves
from .evaluation.truth import Truth, read_truth
from .modeling import detector  # noqa: F401
from .visualization import draw_sample, pick
from .warm_start import convert_for_model

logger = logging.getLogger(__name__)


class CenterFusionTrainer(DefaultTrainer):
    """Trains on images with radar of DATASETS.TRAIN; evaluates DATASETS.TEST with nuScenes' metrics."""

    def __init__(self, cfg: CfgNode) -> None:
        # Read before anything is trained, so that a missing set is an error now and not hours later.
        names = dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.VAL, *cfg.DATASETS.TEST])
        from_config.sample_options(cfg)
        if comm.is_main_process():
            for name in names:
                prepare(name, cfg.INPUT.RADAR.SWEEPS)
        comm.synchronize()
        for name in names:
            records = load_split(name, cfg.INPUT.RADAR.SWEEPS)
            boxes = sum(len(record["boxes"]["category"]) for record in records)
            logger.info("Data set %s: %d images, %d boxes", name, len(records), boxes)
        for name in cfg.DATASETS.TEST:
            self.build_evaluator(cfg, name)
        super().__init__(cfg)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        """Return an endless loader of the training images."""
        if not cfg.DATASETS.TRAIN:
            raise ValueError("DATASETS.TRAIN is empty: name at least one data set, such as nuscenes/train")
        records = _records(cfg, cfg.DATASETS.TRAIN)
        mapper = SampleMapper(from_config.sample_options(cfg), "train")
        dataset = MappedDataset(records, mapper, cfg.SEED)
        sampler = build_train_sampler(cfg, records, cfg.SEED)
        return build_train_loader(cfg, dataset, sampler, rank=comm.get_rank(), world_size=comm.get_world_size())

    @classmethod
    def build_val_loader(cls, cfg: CfgNode) -> Any:
        """Return this process's part of DATASETS.VAL; radar is associated with the predicted boxes."""
        return _test_loader(cfg, _records(cfg, cfg.DATASETS.VAL), "losses")

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        """Return this process's part of a test set."""
        return _test_loader(cfg, load_split(dataset_name, cfg.INPUT.RADAR.SWEEPS), "test")

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> NuscenesEvaluator:
        """Return what measures nuScenes' metrics and draws samples."""
        return PicturingEvaluator(cfg, dataset_name)

    @classmethod
    def build_name_conversion(cls, cfg: CfgNode) -> Any:
        """Return what brings entries of MODEL.WEIGHTS to the model's names and numbers of input channels."""
        return convert_for_model


class PicturingEvaluator(NuscenesEvaluator):
    """Draws samples and precision-recall curves beside the figures, as PNG and for TensorBoard.

    Raises:
        ValueError: TEST.VIS_SAMPLES is negative.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        if cfg.TEST.VIS_SAMPLES < 0:
            raise ValueError(f"TEST.VIS_SAMPLES is a number of samples, or 0, got {cfg.TEST.VIS_SAMPLES}")
        records = load_split(dataset_name, cfg.INPUT.RADAR.SWEEPS)
        folder = Path(cfg.OUTPUT_DIR) / f"evaluation_{dataset_name.strip('/').replace('/', '_')}"
        options = from_config.sample_options(cfg)
        super().__init__(
            records,
            _truth_of(dataset_name),
            folder,
            map_size=options.map_size,
            options=from_config.decoding_options(cfg),
            use_radar=cfg.MODEL.RADAR.ENABLED,
        )
        self._path, self._title, self._curves = folder, dataset_name, cfg.TEST.RENDER_CURVES
        self._drawn = set(pick(cfg.TEST.VIS_SAMPLES, records))
        self._pictures: dict[int, np.ndarray] = {}

    def reset(self) -> None:
        """Forget detections and pictures."""
        super().reset()
        self._pictures = {}

    def process(self, inputs: Mapping[str, Any], outputs: Mapping[str, Tensor]) -> None:
        """Take a batch; draw the samples that are to be drawn."""
        super().process(inputs, outputs)
        for i, index in enumerate(inputs["index"].tolist()):
            if index in self._drawn:
                self._pictures[index] = self._draw(index, {n: v[i].cpu().numpy() for n, v in outputs.items()})

    def _draw(self, index: int, detections: Mapping[str, np.ndarray]) -> np.ndarray:
        record = self._records[index]
        view = View.whole(record["width"], record["height"])
        boxes = camera_boxes(
            detections, record["calib"], view, self._map_size, self._options, has_radar=self._use_radar
        )
        return draw_sample(record, boxes)

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Return the figures; write the pictures in the main process."""
        figures = super().evaluate()
        gathered = comm.gather(self._pictures)
        if not comm.is_main_process():
            return figures
        pictures: dict[str, np.ndarray] = {}
        for part in gathered:
            pictures |= {f"sample_{index:06d}": picture for index, picture in part.items()}
        self._path.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            _save(picture, self._path / f"{name}.png")
        if self._curves and self.metrics is not None:
            pictures["curves"] = draw_curves(self.metrics, self._path / "curves.png")
        if has_event_storage():
            for name, picture in sorted(pictures.items()):
                image = torch.from_numpy(picture.copy()).permute(2, 0, 1)
                get_event_storage().put_image(f"{self._title}/{name}", image)
        return figures


@functools.lru_cache(maxsize=4)
def _truth_of(name: str) -> Truth:
    return read_truth(load_tables(name), locate(name)[1])


def _save(picture: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path)


def _records(cfg: CfgNode, names: Sequence[str]) -> Sequence[Record]:
    splits = [load_split(name, cfg.INPUT.RADAR.SWEEPS) for name in names]
    return splits[0] if len(splits) == 1 else SharedRecords(chain.from_iterable(splits))


def _test_loader(cfg: CfgNode, records: Sequence[Record], purpose: str) -> Any:
    return build_test_loader(
        MappedDataset(records, SampleMapper(from_config.sample_options(cfg), purpose)),
        cfg.TEST.IMS_PER_BATCH,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        pin_memory=is_on_gpu(cfg),
    )
