"""Smaller copies of videos that are quick to read: a short side, and keyframes near to each other."""

import os
from fractions import Fraction
from pathlib import Path

from .decode import scaled_size
from .index import VideoError, import_av, index_video, open_video


def shrink_video(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    short_side: int = 256,
    keyframes: int = 16,
    quality: int = 23,
) -> int:
    """Write a copy of a video in H.264 without sound; every frame keeps its number and its time.

    Args:
        source: a video file.
        target: the file to write, .mp4; it appears when it is whole.
        short_side: of the copy; a smaller video keeps its size (cut to even sides).
        keyframes: frames from one keyframe to the next.
        quality: H.264's constant rate factor, 0 (lossless) to 51.

    Returns:
        The number of frames.

    Raises:
        FileNotFoundError, VideoError: the source cannot be read, or a frame of it does not decode.
    """
    index = index_video(source)
    side = min(short_side, index.width, index.height)
    width, height = (max(2, number // 2 * 2) for number in scaled_size(index.width, index.height, side))
    target = Path(target)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    options = {"crf": str(quality), "g": str(keyframes), "keyint_min": str(keyframes), "sc_threshold": "0", "bf": "0"}
    rate = Fraction(index.rate).limit_denominator(1001) if index.rate else Fraction(25)
    stamps = {int(pts): number for number, pts in enumerate(index.pts)}
    count = 0
    try:
        with (
            import_av().open(str(temporary), "w", format="mp4") as container,
            open_video(source) as (reading, stream),
        ):
            copy = container.add_stream("libx264", rate=rate, options=options)
            copy.width, copy.height, copy.pix_fmt = width, height, "yuv420p"
            copy.codec_context.time_base = index.time_base if index.has_timestamps else 1 / rate
            copy.codec_context.thread_count = 1
            for frame in reading.decode(stream):
                if index.has_timestamps and frame.pts not in stamps:
                    continue
                small = frame.reformat(width, height, "yuv420p")
                small.pts = int(frame.pts - index.pts[0]) if index.has_timestamps else count
                small.pict_type = 0  # a keyframe of the source is none of the copy
                small.time_base = copy.codec_context.time_base
                container.mux(copy.encode(small))
                count += 1
            container.mux(copy.encode())
        if count != index.num_frames:
            raise VideoError(f"video {source} is damaged: {count} of its {index.num_frames} frames decode")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return count
