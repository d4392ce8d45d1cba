"""Decoded frames kept in files, so that a video is decoded once."""

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .index import check_file

FORMATS = ("raw", "jpeg")
_QUALITY = 90
_MAGIC = b"STEPLOOP-FRAMES1"


class FrameCache:
    """Keeps all frames of a video, scaled, in one file for each video.

    A file becomes visible when it is whole, so that any number of processes may share the folder. Which videos are kept
    depends on who came first, the pixels do not: "raw" keeps what was decoded, and with "jpeg" a video that is not
    kept goes through the same compression.

    Args:
        folder: where the files are; made if needed.
        short_side: of the kept frames; 0 keeps the videos' size.
        format: "raw" (1 byte for each pixel and channel) or "jpeg" (quality 90, 10 to 15 times smaller).
        mebibytes: most that the folder may hold; what does not fit is decoded each time.

    Raises:
        ValueError: an unknown format, or a negative number.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, short_side: int = 0, format: str = "jpeg", mebibytes: float = 1024.0
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"a cache of frames is {' or '.join(FORMATS)}; came {format!r} (DATALOADER.VIDEO_CACHE)")
        if short_side < 0 or mebibytes < 0:
            raise ValueError(f"expected short_side >= 0 and mebibytes >= 0; came {short_side} and {mebibytes}")
        self.folder, self.short_side, self.format = Path(folder), short_side, format
        self._limit = int(mebibytes * 2**20)

    def read(
        self, path: str | os.PathLike[str], numbers: Sequence[int] | np.ndarray, decode: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Return frames of a video as uint8 (len(numbers), H, W, 3).

        Args:
            path: of the video.
            numbers: of the frames.
            decode: returns all frames of it, (T, H, W, 3), at the cache's `short_side`; called if they are not kept.

        Raises:
            FileNotFoundError, VideoError: there is no such file; or what `decode` raises.
        """
        kept = self.folder / self._name(path)
        found = self._load(kept, numbers)
        if found is not None:
            return found
        frames = decode()
        if self.format == "jpeg":
            parts = [_compress(frame) for frame in frames]
            self._store(kept, frames.shape, parts)
            return np.stack([_decompress(parts[int(number)]) for number in numbers])
        self._store(kept, frames.shape, [frames.tobytes()])
        return frames[np.asarray(numbers)]

    def _name(self, path: str | os.PathLike[str]) -> str:
        facts = check_file(path)
        key = f"{Path(path).absolute()}|{facts.st_size}|{facts.st_mtime_ns}|{self.short_side}|{self.format}"
        return f"{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:32]}.frames"

    def _load(self, kept: Path, numbers: Sequence[int] | np.ndarray) -> np.ndarray | None:
        try:
            with kept.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    return None
                count, height, width, parts = np.frombuffer(file.read(32), dtype=np.int64).tolist()
                ends = np.frombuffer(file.read(8 * parts), dtype=np.int64)
                start = file.tell()
            if kept.stat().st_size != start + int(ends[-1]):
                return None
        except (OSError, ValueError):
            return None
        if self.format == "raw":
            frames = np.memmap(kept, mode="r", offset=start, shape=(count, height, width, 3), dtype=np.uint8)
            return np.array(frames[np.asarray(numbers)])
        begins = np.concatenate(([0], ends[:-1]))
        unique = {}
        with kept.open("rb") as file:
            for number in sorted(set(map(int, numbers))):
                file.seek(start + int(begins[number]))
                unique[number] = _decompress(file.read(int(ends[number] - begins[number])))
        return np.stack([unique[int(number)] for number in numbers])

    def _store(self, kept: Path, shape: tuple[int, ...], parts: list[bytes]) -> None:
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        header = _MAGIC + np.array([*shape[:3], len(parts)], dtype=np.int64).tobytes() + ends.tobytes()
        # A full disk ends no training: the video is decoded again the next time.
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.nbytes() + len(header) + int(ends[-1]) > self._limit:
                return
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
                try:
                    file.write(header)
                    file.writelines(parts)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            Path(file.name).replace(kept)

    def nbytes(self) -> int:
        """Return what the folder holds, in bytes."""
        if not self.folder.is_dir():
            return 0
        total = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # another process has just renamed it
                    total += entry.stat().st_size
        return total


def _compress(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _decompress(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
