"""From the pipeline of an mm config, a list of specs, to the mapper that makes samples of records."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from steploop.config import Registry
from steploop.data import collate, read_image

from .coco import Record
from .transforms import Pad, RandomCrop, RandomFlip, Resize, Sample, flip, resize

Spec = Mapping[str, Any]
Step = Callable[[Sample, np.random.Generator], None]

STEP_REGISTRY = Registry("DETECTION_STEP")
"""Steps of a pipeline, by MMDetection's names."""

for _step in (Resize, RandomFlip, RandomCrop, Pad):
    STEP_REGISTRY.register(_step)

# What these do is done anyway: files are read first, the model normalises, and a batch is collated.
_DONE_ELSEWHERE = (
    "LoadImageFromFile",
    "LoadAnnotations",
    "Normalize",
    "DefaultFormatBundle",
    "ImageToTensor",
    "Collect",
)
_LISTS = ("boxes", "labels", "ignored", "size", "padded_size", "scale", "flip", "original_size", "image_id")


class Pixels(NamedTuple):
    """How a pipeline normalises: mean and std of the channels in the order of the network's input, and whether that is
    RGB.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    to_rgb: bool


class Pipeline:
    """Makes a sample of a record.

    A sample has what a detector's batch has; see `steploop.projects.detection.modeling.Detector`. With
    MultiScaleFlipAug of more than one size or with flips it has "views", a list of samples.

    Args:
        specs: the ``pipeline`` of a data set in an mm config.

    Raises:
        ValueError: a step is not supported, or has arguments that are not.
    """

    def __init__(self, specs: Sequence[Spec]) -> None:
        self._views: list[tuple[tuple[int, int], bool]] = []
        steps = list(specs)
        for number, spec in enumerate(steps):
            if spec.get("type") == "MultiScaleFlipAug":
                self._views = _views(spec)
                steps[number : number + 1] = [step for step in spec["transforms"] if step.get("type") != "RandomFlip"]
                break
        self._keep_ratio = all(step.get("keep_ratio", True) for step in steps if step.get("type") == "Resize")
        if self._views:
            steps = [step for step in steps if step.get("type") != "Resize"]
        self.steps: list[Step] = [
            STEP_REGISTRY.build(step) for step in steps if step.get("type") not in _DONE_ELSEWHERE
        ]

    def __call__(self, record: Record, rng: np.random.Generator) -> Sample:
        """Read the image and apply the steps."""
        return self.apply(read_sample(record), rng)

    def apply(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Apply the steps to a sample of `read_sample` or `image_sample`."""
        if not self._views:
            for step in self.steps:
                step(sample, rng)
            return finished(sample)
        samples = [self._view(sample, scale, turned, rng) for scale, turned in self._views]
        return samples[0] if len(samples) == 1 else {**_facts(samples[0]), "views": samples}

    def _view(self, sample: Sample, scale: tuple[int, int], turned: bool, rng: np.random.Generator) -> Sample:
        view = dict(sample)
        resize(view, scale, keep_ratio=self._keep_ratio)
        if turned:
            flip(view)
        for step in self.steps:
            step(view, rng)
        return finished(view)


class PipelineMapper:
    """A mapper of `MappedDataset`: each record goes through the pipeline that its data set names."""

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._pipelines = list(pipelines)

    def __call__(self, record: Record, rng: np.random.Generator) -> Sample:
        """Return the sample of a record."""
        return self._pipelines[record.pipeline](record, rng)


def read_sample(record: Record) -> Sample:
    """Return the image of a record, upright, with its boxes.

    Raises:
        FileNotFoundError, ValueError: the file cannot be read, or its size is not the annotated one.
    """
    image = read_image(record.file)
    if image.size != (record.width, record.height):
        raise ValueError(
            f"{record!r} is annotated as {record.width} x {record.height} pixels and has {image.width} x "
            f"{image.height} (after its EXIF orientation): its boxes would not fit; correct the annotation file"
        )
    return {
        **image_sample(image),
        "boxes": torch.from_numpy(record.boxes.copy()),
        "labels": torch.from_numpy(record.labels.copy()),
        "ignored": torch.from_numpy(record.ignored.copy()),
        "image_id": record.image_id,
        "file": record.file,
    }


def image_sample(image: Image.Image) -> Sample:
    """Return a sample of an image in RGB alone."""
    return {
        "image": torch.from_numpy(np.array(image)).permute(2, 0, 1),
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "ignored": torch.zeros(0, 4),
        "scale": (1.0, 1.0),
        "flip": False,
        "original_size": (image.height, image.width),
        "image_id": 0,
        "file": "",
    }


def finished(sample: Sample) -> Sample:
    """Note the size and drop boxes that became empty; they would spoil the losses."""
    height, width = sample["image"].shape[1:]
    sample["size"] = (height, width)
    sample.setdefault("padded_size", (height, width))
    large = ((sample["boxes"][:, 2:] - sample["boxes"][:, :2]) > 0).all(dim=1)
    sample["boxes"], sample["labels"] = sample["boxes"][large], sample["labels"][large]
    return sample


def collate_padded(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a batch: images padded with zeros to the largest of them, everything else as lists."""
    if "views" in samples[0]:
        views = [collate_padded(view) for view in zip(*(sample["views"] for sample in samples))]
        return {**{key: views[0][key] for key in ("image_id", "original_size", "file")}, "views": views}
    sides = [max(sample["padded_size"][axis] for sample in samples) for axis in (0, 1)]
    images = [
        F.pad(sample["image"], (0, sides[1] - sample["image"].shape[2], 0, sides[0] - sample["image"].shape[1]))
        for sample in samples
    ]
    batch = collate([{"image": image, "file": sample["file"]} for image, sample in zip(images, samples)])
    return {**batch, **{key: [sample[key] for sample in samples] for key in _LISTS}}


def pixels_of(specs: Sequence[Spec]) -> Pixels | None:
    """Return how a pipeline normalises, or None if it does not."""
    for spec in specs:
        if spec.get("type") == "MultiScaleFlipAug":
            return pixels_of(spec["transforms"])
        if spec.get("type") == "Normalize":
            return Pixels(tuple(spec["mean"]), tuple(spec["std"]), bool(spec.get("to_rgb", True)))
    return None


def _views(spec: Spec) -> list[tuple[tuple[int, int], bool]]:
    options = {key: value for key, value in spec.items() if key not in ("type", "transforms")}
    scales, flips = options.pop("img_scale", None), options.pop("flip", False)
    if options.pop("flip_direction", "horizontal") not in ("horizontal", ["horizontal"]) or options or scales is None:
        raise ValueError(f"MultiScaleFlipAug takes img_scale, flip and transforms; came {dict(spec)!r:.300}")
    return [(scale, turned) for scale in Resize(scales, multiscale_mode="value").scales for turned in _turns(flips)]


def _turns(flips: bool) -> tuple[bool, ...]:
    return (False, True) if flips else (False,)


def _facts(sample: Sample) -> Sample:
    return {key: sample[key] for key in ("image_id", "original_size", "file")}
