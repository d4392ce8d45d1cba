"""From a video of a data set to a sample: reads its frames, and knows what to do where that fails."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steploop.data.video import (
    FrameCache,
    FrameFolder,
    VideoError,
    VideoIndex,
    load_index,
    read_frames,
    time_limit,
)

from .annotations import ClipItem
from .pipeline import Pipeline

logger = logging.getLogger(__name__)

BROKEN_RULES = ("error", "replace")
BROKEN_FILE = "broken_videos.txt"
# Other videos that are tried in place of a broken one. So many in a row are no accident.
_MAX_TRIES = 20
_MAX_INDEXES = 8192


class VideoReader:
    """Frames of a `ClipItem`, from a file, a folder, or the cache.

    Args:
        short_side: frames are scaled to it while they are decoded; 0 leaves them.
        cache: keeps decoded videos of the same `short_side`; None keeps nothing.
        index_folder: where indexes of files are kept; None: beside the videos.
        timeout: seconds that reading one video may take; 0 sets no limit.
    """

    def __init__(
        self,
        *,
        short_side: int = 0,
        cache: FrameCache | None = None,
        index_folder: str | None = None,
        timeout: float = 0.0,
    ) -> None:
        self.short_side, self.cache, self.index_folder, self.timeout = short_side, cache, index_folder, timeout
        self._indexes: dict[str, VideoIndex] = {}

    def length(self, item: ClipItem) -> tuple[int, float]:
        """Return (number of frames, frames per second); a folder has no rate, 0."""
        if item.is_folder:
            return item.num_frames or FrameFolder(item.path, item.template).span()[1], 0.0
        index = self._index(item)
        return index.num_frames, index.rate

    def read(self, item: ClipItem, numbers: np.ndarray) -> np.ndarray:
        """Return frames by their place in the video, from 0, as uint8 (N, H, W, 3)."""
        if item.is_folder:
            folder = FrameFolder(item.path, item.template)
            first = item.first_frame if item.first_frame >= 0 else folder.span()[0]
            return folder.read(numbers + first, short_side=self.short_side)
        index = self._index(item)
        if self.cache is None:
            return read_frames(item.path, numbers, index=index, short_side=self.short_side)

        def decode() -> np.ndarray:
            return read_frames(item.path, range(index.num_frames), index=index, short_side=self.short_side)

        return self.cache.read(item.path, numbers, decode)

    def _index(self, item: ClipItem) -> VideoIndex:
        found = self._indexes.get(item.path)
        if found is None:
            if len(self._indexes) >= _MAX_INDEXES:
                self._indexes.clear()
            found = self._indexes[item.path] = load_index(item.path, self.index_folder)
        return found


class ClipMapper:
    """Makes a sample: "imgs" uint8 (views, 3, T, H, W), "label", "path" and "broken".

    Args:
        pipeline: which frames, and what is done to them.
        reader: reads them.
        items: of the data set: "replace" takes from them what stands for a broken video.
        broken: "error" raises; "replace" takes another video, chosen by the sample's random numbers alone, so that a
            run stays a function of its seed. Each broken file is logged, written to `broken_file`, and counted.
        broken_file: list of the broken files, one a line; "" writes none.
        num_classes: makes "label" a float tensor (num_classes,) of 0 and 1; 0 makes it a number.

    Raises:
        ValueError: `broken` is unknown.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        reader: VideoReader,
        *,
        items: Sequence[ClipItem] = (),
        broken: str = "error",
        broken_file: str = "",
        num_classes: int = 0,
    ) -> None:
        if broken not in BROKEN_RULES:
            raise ValueError(f"DATALOADER.BROKEN_VIDEOS is {' or '.join(BROKEN_RULES)}; came {broken!r}")
        self.pipeline, self.reader, self.items = pipeline, reader, items
        self.broken, self.broken_file, self.num_classes = broken, broken_file, num_classes
        self._reported: set[str] = set()

    def __call__(self, item: ClipItem, rng: np.random.Generator) -> dict[str, Any]:
        """Return the sample of a video.

        Raises:
            FileNotFoundError, VideoError, VideoTimeout: it cannot be read, and `broken` is "error"; or none of the
                videos that were tried in its place can.
        """
        # Of its own, so that a whole video draws the same with both rules.
        replacements = np.random.default_rng(rng.bit_generator.seed_seq.spawn(1)[0])  # type: ignore[attr-defined]
        for tried in range(_MAX_TRIES + 1):
            try:
                return {**self._sample(item, rng), "broken": tried}
            except (VideoError, FileNotFoundError) as error:
                if self.broken == "error":
                    raise
                self._report(item, error)
                last = error
            item = self.items[int(replacements.integers(len(self.items)))]
        raise VideoError(f"{_MAX_TRIES + 1} videos in a row cannot be read, the last one: {last}")

    def _sample(self, item: ClipItem, rng: np.random.Generator) -> dict[str, Any]:
        with time_limit(self.reader.timeout, item.path):
            total, fps = self.reader.length(item)
            numbers = self.pipeline.frames(total, rng, fps=fps)
            frames = self.reader.read(item, numbers)
        facts: dict[str, Any] = {"label": item.label}
        try:
            clips = self.pipeline(frames, facts, rng)
        except ValueError as error:
            raise ValueError(f"video {item.path}: {error}") from error
        return {"imgs": clips, "label": self._target(item, facts), "path": item.path}

    def _target(self, item: ClipItem, facts: dict[str, Any]) -> Any:
        if not self.num_classes:
            return facts["label"]
        target = torch.zeros(self.num_classes)
        target[list(item.labels)] = 1.0
        return target

    def _report(self, item: ClipItem, error: Exception) -> None:
        if item.path in self._reported:
            return
        self._reported.add(item.path)
        logger.warning("Left out: %s", error)
        if self.broken_file:
            # Workers share the file: a short line that is appended at once is not torn.
            with Path(self.broken_file).open("a", encoding="utf-8") as file:
                file.write(" ".join(f"{item.path}: {error}".split()) + "\n")
