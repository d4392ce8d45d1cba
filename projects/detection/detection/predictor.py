"""From images to detections: the trained model of a run, for use outside of training."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from steploop.config import CfgNode, ConfigError, get_cfg
from steploop.data import read_image
from steploop.engine import DefaultPredictor

from .config import add_detection_config
from .data import Pipeline, collate_padded
from .data.pipeline import image_sample
from .evaluation.pictures import draw_boxes
from .modeling import Detections
from .trainer import DetectionTrainer
from .weights import describe_weights


class Found(NamedTuple):
    """What was found in one image, the best score first; boxes are (x1, y1, x2, y2) in its pixels."""

    boxes: list[list[float]]
    scores: list[float]
    names: list[str]


class DetectionPredictor(DefaultPredictor):
    """Finds objects in images, with the weights and the pipeline of an evaluation.

    ::

        predictor = DetectionPredictor(load_run_config("output/detection_quickstart/config.yaml"))
        (found,) = predictor("street.jpg")
        found.boxes, found.scores, found.names

    An image is a file, a PIL image or an array (H, W, 3) of uint8 in RGB; or a list of them. A batch has
    TEST.IMS_PER_BATCH images.

    Attributes:
        classes: the names of the labels, from the checkpoint.

    Raises:
        FileNotFoundError, ValueError, TypeError: what is given is no image.
    """

    trainer_class = DetectionTrainer

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        names = describe_weights(cfg.MODEL.WEIGHTS).classes
        self.classes = names or tuple(f"class {label}" for label in range(self.cfg.MODEL.NUM_CLASSES))
        self._pipeline = Pipeline(_test_pipeline(self.cfg))

    @classmethod
    def complete_config(cls, cfg: CfgNode, weights: Mapping[str, Any]) -> None:
        """Take the number of classes from the checkpoint, if the config leaves it open."""
        if cfg.MODEL.NUM_CLASSES:
            return
        heads = [value for name, value in weights.items() if name.endswith("bbox_head.fc_cls.bias")]
        count = len(describe_weights(cfg.MODEL.WEIGHTS).classes) or (len(heads[0]) - 1 if heads else 0)
        if not count:
            raise ConfigError(f"{cfg.MODEL.WEIGHTS} does not say its classes: set MODEL.NUM_CLASSES")
        cfg.MODEL.NUM_CLASSES = count

    def preprocess(self, one: Any) -> dict[str, Any]:
        """Return the sample of an image."""
        return self._pipeline.apply(image_sample(as_image(one)), np.random.default_rng(0))

    def collate(self, samples: Sequence[Any]) -> Any:
        """Pad the images of a batch to one size."""
        return collate_padded(samples)

    def postprocess(self, outputs: Sequence[Detections]) -> list[Found]:
        """Return plain lists, with the names of the classes."""
        return [
            Found(found.boxes.tolist(), found.scores.tolist(), [self.classes[label] for label in found.labels.tolist()])
            for found in outputs
        ]

    def combine(self, outputs: list[list[Found]]) -> list[Found]:
        """Return one list."""
        return list(chain.from_iterable(outputs))

    def draw(self, image: Any, found: Found, *, score: float = 0.3) -> Image.Image:
        """Return the image with boxes of at least `score`."""
        picture = as_image(image).copy()
        shown = [index for index, value in enumerate(found.scores) if value >= score]
        labels = [self.classes.index(found.names[index]) for index in shown]
        boxes, scores = [found.boxes[index] for index in shown], [found.scores[index] for index in shown]
        draw_boxes(picture, boxes, labels, classes=self.classes, scores=scores)
        return picture


def as_image(one: Any) -> Image.Image:
    """Return what is given as an image in RGB.

    Raises:
        TypeError, ValueError, FileNotFoundError: it is none.
    """
    if isinstance(one, str | Path):
        return read_image(one)
    if isinstance(one, Image.Image):
        return one.convert("RGB")
    if isinstance(one, np.ndarray):
        if one.dtype != np.uint8 or one.ndim != 3 or one.shape[2] != 3 or 0 in one.shape:
            raise ValueError(f"an image is an array (H, W, 3) of uint8 in RGB; came {one.shape} of {one.dtype}")
        return Image.fromarray(one)
    raise TypeError(f"an image is a file, a PIL image or an array; came {type(one).__name__}")


def load_run_config(path: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the config of a run (its config.yaml), with its final weights where none are given."""
    cfg = get_cfg()
    add_detection_config(cfg)
    cfg.merge_from_file(path)
    cfg.merge_from_list(overrides)
    final = Path(path).parent / "model_final.pth"
    if not cfg.MODEL.WEIGHTS or (final.is_file() and "MODEL.WEIGHTS" not in overrides):
        cfg.MODEL.WEIGHTS, cfg.MODEL.FLAVOUR = str(final), "mmdet" if cfg.MODEL.FLAVOUR == "auto" else cfg.MODEL.FLAVOUR
    cfg.freeze()
    return cfg


def _test_pipeline(cfg: CfgNode) -> list[Any]:
    for name in cfg.DATASETS.TEST:
        spec = cfg.DATASETS.SPECS.get(name)
        if spec is not None and spec.get("pipeline"):
            return list(spec["pipeline"])
    return list(cfg.INPUT.TEST_PIPELINE)
