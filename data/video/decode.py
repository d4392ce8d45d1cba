"""Exact frames of a video by number: seeks where that is shorter, and converts only the frames that are wanted."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .index import VideoError, VideoIndex, index_video, open_video

# A seek empties the decoder and reads to a keyframe. It pays where it skips more frames than this.
_MIN_SKIP = 12


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return (width, height) with the shorter side `short_side`, rounded as MMAction2 does: int(side * scale + 0.5).

    0 keeps the size.
    """
    if not short_side:
        return width, height
    scale = short_side / min(width, height)
    return int(width * scale + 0.5), int(height * scale + 0.5)


def read_frames(
    path: str | os.PathLike[str],
    numbers: Sequence[int] | np.ndarray,
    *,
    index: VideoIndex | None = None,
    short_side: int = 0,
    seek: bool = True,
) -> np.ndarray:
    """Return frames as uint8 RGB (len(numbers), H, W, 3), in one pass over the file.

    The same numbers give the same bits with and without seeking.

    Args:
        path: of the video.
        numbers: frame numbers, 0 <= number < index.num_frames, in any order and repeated at will.
        index: of the file; None makes it.
        short_side: scale frames so that their shorter side is this (bilinear), in the decoder's conversion; 0 does not.
        seek: False decodes from the first frame on.

    Raises:
        IndexError: there is no frame of such a number.
        FileNotFoundError, VideoError: as for `open_video`; or one of the frames is damaged and does not decode.
    """
    if index is None:
        index = index_video(path)
    wanted = sorted(set(map(int, numbers)))
    if not wanted:
        raise ValueError(f"no frame of {path} was asked for")
    if wanted[0] < 0 or wanted[-1] >= index.num_frames:
        raise IndexError(f"video {path} has the frames 0 to {index.num_frames - 1}, not {wanted[0]} to {wanted[-1]}")
    size = scaled_size(index.width, index.height, short_side)
    found: dict[int, np.ndarray] = {}
    with open_video(path) as (container, stream):
        if index.has_timestamps:
            frames = _by_timestamp(container, stream, index, wanted, seek)
        else:
            frames = _by_count(container, stream, set(wanted))
        for number, frame in frames:
            found[number] = frame.reformat(*size, format="rgb24").to_ndarray()
    missing = [number for number in wanted if number not in found]
    if missing:
        raise VideoError(
            f"video {path} is damaged: {len(missing)} of the frames that were asked for do not decode, such as number "
            f"{missing[0]} of {index.num_frames}"
        )
    return np.stack([found[int(number)] for number in numbers])


def _by_count(container: Any, stream: Any, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    last = max(wanted)
    for number, frame in enumerate(container.decode(stream)):
        if number in wanted:
            yield number, frame
        if number >= last:
            return


def _by_timestamp(
    container: Any, stream: Any, index: VideoIndex, wanted: list[int], seek: bool
) -> Iterator[tuple[int, Any]]:
    """Yield (number, frame) of the wanted ones, seeking over the gaps between them."""
    number_of = {int(pts): number for number, pts in enumerate(index.pts)}
    for group in _groups(index, wanted) if seek else [wanted]:
        first, left = group[0], set(group)
        key = index.keyframe_before(first) if seek else 0
        if key:
            container.seek(int(index.pts[key]), stream=stream, backward=True)
        elif group is not wanted and first != wanted[0]:
            container.seek(int(index.pts[0]), stream=stream, backward=True)
        is_checked = not key
        for frame in container.decode(stream):
            number = number_of.get(frame.pts)
            if number is None:
                continue
            if not is_checked:
                is_checked = True
                if number > first:  # the container sought too far: its own index is wrong
                    yield from _by_timestamp(container, stream, index, group, seek=False)
                    break
            if number in left:
                left.discard(number)
                yield number, frame
            if not left or number > group[-1] + _REORDER:
                break


# Frames come in the order in which they are shown, except around damage; one that is late by more does not come.
_REORDER = 32


def _groups(index: VideoIndex, wanted: list[int]) -> list[list[int]]:
    """Split the wanted numbers where seeking to the next one is shorter than decoding up to it."""
    groups = [[wanted[0]]]
    for number in wanted[1:]:
        if index.keyframe_before(number) - groups[-1][-1] > _MIN_SKIP:
            groups.append([])
        groups[-1].append(number)
    return groups
