"""What frames a video file has: their timestamps and which of them can be decoded first; found without decoding."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_VERSION = 1
INDEX_FOLDER = ".video_index"


class VideoError(ValueError):
    """A video file cannot be read; the message names the file and the reason."""


class VideoIndex(NamedTuple):
    """The frames of a video stream in the order in which they are shown; the place in it is a frame's number.

    Attributes:
        pts: int64 (T,), the timestamps, strictly increasing, in units of `time_base`.
        is_key: bool (T,), whether decoding can start at a frame.
        time_base: seconds per unit of `pts`.
        width: in pixels.
        height: in pixels.
        rate: average frames per second; 0 where it is not known.
        has_timestamps: whether decoded frames carry `pts`. Without them frames are counted from the first one, and
            there is no seeking.
    """

    pts: np.ndarray
    is_key: np.ndarray
    time_base: Fraction
    width: int
    height: int
    rate: float
    has_timestamps: bool

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.pts)

    def keyframe_before(self, number: int) -> int:
        """Return the number of the last frame <= `number` at which decoding can start; 0 where there is none."""
        found = np.flatnonzero(self.is_key[: number + 1])
        return int(found[-1]) if len(found) else 0


def import_av() -> Any:
    """Return PyAV.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading video files needs PyAV: pip install 'steploop[video]'") from error
    return av


@contextlib.contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """Open a file for the time of a `with` block; gives (container, first video stream), decoded by one thread.

    Raises:
        FileNotFoundError: there is no such file.
        VideoError: it is no file, empty, no video, or damaged so that it cannot be opened or decoded.
    """
    check_file(path)
    av = import_av()
    try:
        with av.open(os.fspath(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise VideoError(f"video {path} has no video stream: remove it from the list")
            stream = container.streams.video[0]
            # Loaders have a process for each core; more threads only take turns.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.error.FFmpegError, av.error.UndefinedError) as error:
        if isinstance(error, OSError) and isinstance(error, InterruptedError):
            raise
        raise VideoError(f"video {path} cannot be decoded: {error}") from error


def check_file(path: str | os.PathLike[str]) -> os.stat_result:
    """Return the facts of a file that could be a video.

    Raises:
        FileNotFoundError: there is no such file.
        VideoError: it is a folder, a pipe or a device, or empty.
    """
    try:
        facts = Path(path).stat()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"video {path} does not exist: was it moved, or its prefix left out?") from error
    if not stat.S_ISREG(facts.st_mode):  # a pipe may never end
        raise VideoError(f"video {path} is no file, but a folder, a pipe or a device")
    if not facts.st_size:
        raise VideoError(f"video {path} is empty (0 bytes): delete it, or copy it again")
    return facts


def index_video(path: str | os.PathLike[str]) -> VideoIndex:
    """Return the index of a file's first video stream.

    Packets that an edit list hides are skipped, for any number of frames in the header. Where packets have
    no timestamps, or the same ones, the frames are decoded once to be counted.

    Raises:
        FileNotFoundError, VideoError: as for `open_video`; or there is no frame.
    """
    with open_video(path) as (container, stream):
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size and not p.is_discard]
        width, height = stream.codec_context.width, stream.codec_context.height
        time_base, rate = Fraction(stream.time_base or 1), float(stream.average_rate or 0)
    if not packets:
        raise VideoError(f"video {path} has no frame: delete it, or copy it again")
    stamps = [pts for pts, _ in packets if pts is not None]
    if len(stamps) == len(packets) == len(set(stamps)):
        packets.sort()
        pts = np.array([pts for pts, _ in packets], dtype=np.int64)
        keys = np.array([key for _, key in packets], dtype=bool)
        return VideoIndex(pts, keys, time_base, width, height, rate, True)
    count = _count_frames(path)
    if not count:
        raise VideoError(f"video {path} has no frame that can be decoded: delete it, or copy it again")
    keys = np.zeros(count, dtype=bool)
    keys[0] = True
    return VideoIndex(np.arange(count, dtype=np.int64), keys, time_base, width, height, rate, False)


def _count_frames(path: str | os.PathLike[str]) -> int:
    with open_video(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def load_index(path: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None) -> VideoIndex:
    """Return the index of a file, from an earlier call if the file is still the same (size and time of change).

    Args:
        path: of the video.
        folder: where indexes are kept; None: in ``.video_index`` beside the video. Where nothing can be written, the
            index is made again each time, which costs 1 to 20 ms.

    Raises:
        FileNotFoundError, VideoError: as for `index_video`.
    """
    facts = check_file(path)
    path = Path(path)
    home = path.parent / INDEX_FOLDER if folder is None else Path(folder)
    kept = home / f"{path.name}.npz"
    stamp = np.array([_VERSION, facts.st_size, facts.st_mtime_ns], dtype=np.int64)
    found = _read(kept, stamp)
    if found is None:
        found = index_video(path)
        _write(kept, stamp, found)
    return found


def _read(kept: Path, stamp: np.ndarray) -> VideoIndex | None:
    try:
        with np.load(kept, allow_pickle=False) as file:
            if not np.array_equal(file["stamp"], stamp):
                return None
            numerator, denominator, width, height, stamped = file["facts"].tolist()
            base = Fraction(numerator, denominator)
            return VideoIndex(file["pts"], file["is_key"], base, width, height, float(file["rate"]), bool(stamped))
    except (OSError, ValueError, KeyError, EOFError, ZeroDivisionError):  # missing, or damaged: it is made again
        return None
    except Exception as error:  # zipfile.BadZipFile, which numpy lets through
        if type(error).__name__ != "BadZipFile":
            raise
        return None


def _write(kept: Path, stamp: np.ndarray, index: VideoIndex) -> None:
    base = index.time_base
    facts = [base.numerator, base.denominator, index.width, index.height, int(index.has_timestamps)]
    # Several workers may index the same file: each writes its own file, and the last one stays.
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".tmp", delete=False) as file:
            np.savez(
                file, stamp=stamp, pts=index.pts, is_key=index.is_key, facts=np.array(facts), rate=np.array(index.rate)
            )
        Path(file.name).replace(kept)
