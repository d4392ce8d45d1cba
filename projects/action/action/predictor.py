"""From videos to actions over time: the trained model of a run, for use outside of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from steploop.config import CfgNode, get_cfg
from steploop.data.video import FrameFolder, load_index, read_frames
from steploop.engine import DefaultPredictor
from steploop.engine.checkpoint import read_checkpoint

from .config import add_action_config
from .data.pipeline import Pipeline
from .evaluation.pictures import Picture, clip_strip, stack, timeline
from .trainer import ActionTrainer, class_names_in


class Window(NamedTuple):
    """What was recognised in one part of a video.

    Attributes:
        start: of the clip, in seconds (frames, where the rate is not known).
        end: of the clip.
        names: of the best classes, the best first.
        scores: of these, in 0..1.
    """

    start: float
    end: float
    names: list[str]
    scores: list[float]


class Recognised(NamedTuple):
    """What was recognised in a video: in each window, and as the mean over all of them."""

    windows: list[Window]
    names: list[str]
    scores: list[float]
    picture: Picture


class ActionPredictor(DefaultPredictor):
    """Recognises actions in videos, with the weights and the pipeline of an evaluation.

    ::

        predictor = ActionPredictor(load_run_config("output/quickstart/config.yaml"))
        found = predictor.recognise("video.mp4")
        found.names[0], found.scores[0]

    Attributes:
        classes: names of the labels, from the checkpoint.
    """

    trainer_class = ActionTrainer

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        names = class_names_in(read_checkpoint(cfg.MODEL.WEIGHTS))
        self.classes = names or tuple(f"class {label}" for label in range(self.cfg.MODEL.NUM_CLASSES))
        self.pipeline = Pipeline([dict(step) for step in test_pipeline(self.cfg)])

    @classmethod
    def complete_config(cls, cfg: CfgNode, weights: Mapping[str, Any]) -> None:
        """Take the number of classes from the classifier's bias."""
        bias = [
            value for name, value in weights.items() if name.endswith(("fc_cls.bias", "proj.bias", "projection.bias"))
        ]
        if not cfg.MODEL.NUM_CLASSES and bias:
            cfg.MODEL.NUM_CLASSES = len(bias[0])

    def preprocess(self, one: Tensor) -> dict[str, Any]:
        """Return the sample of one window's clips, uint8 (views, 3, T, H, W)."""
        return {"imgs": one}

    def postprocess(self, outputs: Tensor) -> Tensor:
        """Return scores in 0..1, (N, classes), of logits (N, views, classes)."""
        return outputs.softmax(dim=2).mean(dim=1).cpu()

    def recognise(self, path: str | Path, *, windows: int = 8, top: int = 5) -> Recognised:
        """Return the best classes of a video over time.

        Args:
            path: of a video, or of a folder of frames.
            windows: clips that are looked at, evenly spaced from the first frame to the last.
            top: classes that are returned.

        Raises:
            FileNotFoundError, VideoError: the video cannot be read.
        """
        length, rate, read = self._open(path)
        sampler = self.pipeline.sampler
        span = _span(sampler, rate)
        starts = np.unique(np.linspace(0, max(length - span, 0), windows).round().astype(int))
        steps = np.round(np.linspace(0, span - 1, sampler.clip_len)).astype(int)
        numbers = np.minimum(starts[:, None] + steps, length - 1)
        frames = read(numbers.reshape(-1))
        frames = frames.reshape(*numbers.shape, *frames.shape[1:])
        rng = np.random.default_rng(0)
        clips = [self.pipeline(each, {"label": 0}, rng) for each in frames]
        scores = self(clips)
        order = scores.mean(dim=0).argsort(descending=True)[:top].tolist()
        unit = rate or 1.0
        found = [
            Window(float(start / unit), float(min(start + span, length) / unit), *self._best(row, top))
            for start, row in zip(starts, scores)
        ]
        names, values = self._best(scores.mean(dim=0), top)
        picture = self._picture(path, clips, scores, found, order)
        return Recognised(found, names, values, picture)

    def _open(self, path: str | Path) -> tuple[int, float, Any]:
        """Return (frames, frames per second, function of numbers that reads)."""
        side = self.pipeline.short_side
        if Path(path).is_dir():
            folder = FrameFolder(path)
            first, count = folder.span()
            return count, 0.0, lambda numbers: folder.read(np.asarray(numbers) + first, short_side=side)
        index = load_index(path)
        return index.num_frames, index.rate, lambda numbers: read_frames(path, numbers, index=index, short_side=side)

    def _best(self, scores: Tensor, top: int) -> tuple[list[str], list[float]]:
        values, labels = scores.topk(min(top, len(scores)))
        return [self.classes[label] for label in labels.tolist()], values.tolist()

    def _picture(
        self, path: str | Path, clips: Sequence[Tensor], scores: Tensor, found: Sequence[Window], order: Sequence[int]
    ) -> Picture:
        times = [(window.start + window.end) / 2 for window in found]
        names = [self.classes[label] for label in order]
        plot = timeline(times, scores[:, list(order)].numpy(), names, title=Path(path).name)
        strips = [
            clip_strip(
                clip[0].numpy(), f"{window.start:.1f} - {window.end:.1f}: {window.names[0]} {window.scores[0]:.2f}"
            )
            for clip, window in zip(clips, found)
        ]
        return stack([plot, *strips])


def _span(sampler: Any, rate: float) -> int:
    """Return the frames of a video that one clip covers."""
    if hasattr(sampler, "sampling_rate"):
        return max(
            1, round(sampler.clip_len * sampler.sampling_rate * (rate or sampler.target_fps) / sampler.target_fps)
        )
    return int((sampler.clip_len - 1) * sampler.frame_interval + 1)


def test_pipeline(cfg: CfgNode) -> list[Any]:
    """Return the steps of the evaluation: of the first test set, or INPUT.TEST_PIPELINE."""
    specs = cfg.DATASETS.SPECS.to_dict()
    for name in cfg.DATASETS.TEST:
        if specs.get(name, {}).get("pipeline"):
            return list(specs[name]["pipeline"])
    if not cfg.INPUT.TEST_PIPELINE:
        raise ValueError("no pipeline of an evaluation: set INPUT.TEST_PIPELINE")
    return list(cfg.INPUT.TEST_PIPELINE)


def load_run_config(path: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the frozen config of a run, with MODEL.WEIGHTS set to its final checkpoint if it names none.

    Raises:
        FileNotFoundError: there is no config, or the run has no final checkpoint.
    """
    path = Path(path)
    path = path / "config.yaml" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"there is no config of a run at {path}: give the output folder of a training")
    cfg = get_cfg()
    add_action_config(cfg)
    cfg.merge_from_file(str(path))
    cfg.MODEL.WEIGHTS = ""
    cfg.merge_from_list(list(overrides))
    if not cfg.MODEL.WEIGHTS:
        final = path.parent / "model_final.pth"
        if not final.is_file():
            raise FileNotFoundError(f"the run at {path.parent} has no model_final.pth: set MODEL.WEIGHTS")
        cfg.MODEL.WEIGHTS = str(final)
    cfg.freeze()
    return cfg
