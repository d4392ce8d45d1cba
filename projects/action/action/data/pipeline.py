"""MMAction2's pipeline, a list of steps with "type": which frames are read, and what is done to them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from steploop.config import ConfigError

from .clip_transforms import CLIP_TRANSFORMS, ClipTransform, Resize, TenCrop, ThreeCrop
from .sample_frames import SampleClipsByTime, SampleFrames

SAMPLERS = {"SampleFrames": SampleFrames, "SampleClipsByTime": SampleClipsByTime}
IGNORED = {
    "DecordInit": "PyAV reads every file",
    "DecordDecode": "PyAV reads every file",
    "PyAVInit": "frames are counted exactly",
    "PyAVDecode": "only the wanted frames are converted",
    "OpenCVInit": "PyAV reads every file",
    "OpenCVDecode": "PyAV reads every file",
    "RawFrameDecode": "a folder of frames is read as such",
    "Collect": "a sample has imgs and label",
    "ToTensor": "a sample has tensors",
}
"""Steps that change nothing here, each with the reason."""


class Pixels(NamedTuple):
    """Mean and deviation of the channels, RGB, in the range 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Pipeline:
    """From a video's length to the numbers of its frames, and from frames to the clips of a sample.

    Args:
        steps: {"type": name, **arguments}, in MMAction2's order: one SampleFrames, transforms, FormatShape "NCTHW".
            Normalize is left to the model, which gets MODEL.PIXEL_MEAN and PIXEL_STD.

    Raises:
        ConfigError: a step is unknown, or there is not one that samples frames.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.pixels: Pixels | None = None
        self.transforms: list[ClipTransform] = []
        samplers = []
        for number, step in enumerate(steps):
            arguments = dict(step)
            kind = arguments.pop("type", None)
            try:
                if kind in SAMPLERS:
                    arguments.pop("start_index", None)
                    samplers.append(SAMPLERS[kind](**arguments))
                elif kind == "Normalize":
                    self.pixels = _pixels(arguments)
                elif kind == "FormatShape":
                    if arguments.get("input_format") != "NCTHW":
                        raise ConfigError("FormatShape.input_format is 'NCTHW', the layout of a 3D network")
                elif kind not in IGNORED:
                    self.transforms.append(CLIP_TRANSFORMS.build({"type": kind, **arguments}))
            except (TypeError, ValueError, KeyError) as error:
                raise ConfigError(f"step {number} of the pipeline, {kind}: {error}") from error
        if len(samplers) != 1:
            raise ConfigError(f"a pipeline has one SampleFrames or SampleClipsByTime; came {len(samplers)}")
        self.sampler = samplers[0]

    @property
    def num_crops(self) -> int:
        """Cut-outs of each frame."""
        crops: dict[type, int] = {ThreeCrop: 3, TenCrop: 10}
        return next((crops[type(step)] for step in self.transforms if type(step) in crops), 1)

    @property
    def num_clips(self) -> int:
        """Clips of each video."""
        return self.sampler.clips_per_video

    @property
    def short_side(self) -> int:
        """The shorter side to which frames may be scaled while they are decoded; 0 leaves them."""
        first = self.transforms[0] if self.transforms else None
        return first.short_side if isinstance(first, Resize) else 0

    def frames(self, total: int, rng: np.random.Generator, *, fps: float = 0.0) -> np.ndarray:
        """Return the numbers of the frames of all clips, (num_clips * clip_len,)."""
        numbers = self.sampler(total, rng, fps=fps)
        # Too short a video gives fewer clips with twice_sample; the same ones again change no average.
        return np.resize(numbers, self.num_clips * self.sampler.clip_len)

    def __call__(self, frames: np.ndarray, facts: dict[str, Any], rng: np.random.Generator) -> torch.Tensor:
        """Return the clips of a sample, uint8 (crops * clips, 3, clip_len, H, W), crops outermost.

        Args:
            frames: uint8 (clips * clip_len, H, W, 3), RGB.
            facts: "label", which a transform may change.
            rng: of the sample; drawn from once for all frames.
        """
        for transform in self.transforms:
            frames = transform(frames, facts, rng)
        clips = frames.reshape(-1, self.sampler.clip_len, *frames.shape[1:])
        return torch.from_numpy(np.ascontiguousarray(clips.transpose(0, 4, 1, 2, 3)))


def _pixels(arguments: Mapping[str, Any]) -> Pixels:
    if arguments.get("to_bgr"):
        raise ConfigError("to_bgr=True is not supported: frames are RGB")
    return Pixels(tuple(map(float, arguments["mean"])), tuple(map(float, arguments["std"])))
