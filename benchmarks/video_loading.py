"""Prints what reading a clip from a video costs, beside decoding from the start and beside cached frames.

A sample is 32 frames, 2 apart, from a random place, RGB with a short side of 128:

    everything      decode from the first frame to the last one that is wanted, convert all of them at full size, then
                    scale: what MMAction2's PyAVDecode does
    from the start  decode from the first frame, convert and scale only the wanted ones
    indexed         ours: seek by the index where that is shorter
    cache, jpeg     ours with DATALOADER.VIDEO_CACHE, when the video has been read once
    cache, raw      the same, without compression

Videos are made for it, unless some are named: long ones with few and with many keyframes, and a short clip. Times are
CPU milliseconds of one thread; each round measures all ways in turn at the same places. The table holds medians, with
the smallest and the largest in brackets, and the times as ratios to "everything" of the same round. It is checked that
"from the start" and "indexed" give the same bits.

    OMP_NUM_THREADS=1 python benchmarks/video_loading.py
    OMP_NUM_THREADS=1 python benchmarks/video_loading.py video.mp4 other.mkv --rounds 9 --json video.json
"""

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from tabulate import tabulate

from steploop.data.video import FrameCache, VideoIndex, index_video, read_frames, scaled_size

FRAMES, INTERVAL, SIDE = 32, 2, 128
EVERYTHING, START, INDEXED, JPEG, RAW = "everything", "from the start", "indexed", "cache, jpeg", "cache, raw"


def make_video(path: Path, *, size: tuple[int, int], frames: int, keyframes: int, seed: int = 0) -> Path:
    """Write an H.264 video of moving patches: (width, height), a keyframe each so many frames."""
    rng = np.random.default_rng(seed)
    width, height = size
    large = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(large).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        options = {"crf": "23", "g": str(keyframes), "keyint_min": str(keyframes), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            left = int((0.5 + 0.5 * np.sin(number / 40)) * width)
            top = int((0.5 + 0.5 * np.cos(number / 55)) * height)
            cut = picture[top : top + height, left : left + width]
            noisy = cut.astype(np.int16) + rng.integers(-6, 7, cut.shape, dtype=np.int16)
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_everything(path: Path, numbers: np.ndarray, index: VideoIndex) -> np.ndarray:
    """Return the frames as MMAction2's PyAVDecode and Resize make them."""
    last, kept = int(numbers.max()), []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number > last:
                break
            kept.append(frame.to_rgb().to_ndarray())
    size = scaled_size(index.width, index.height, SIDE)
    return np.stack([np.asarray(Image.fromarray(kept[n]).resize(size, Image.Resampling.BILINEAR)) for n in numbers])


Reader = Callable[[np.ndarray], np.ndarray]


def ways(path: Path, index: VideoIndex, folder: Path) -> dict[str, Reader]:
    """Return the ways of reading frames by number."""
    read = functools.partial(read_frames, path, index=index, short_side=SIDE)
    caches = {
        name: FrameCache(folder / kind, short_side=SIDE, format=kind) for name, kind in ((JPEG, "jpeg"), (RAW, "raw"))
    }
    for cache in caches.values():
        cache.read(path, [0], lambda: read(range(index.num_frames)))

    def unexpected() -> np.ndarray:
        raise AssertionError("the cache holds the video")

    found: dict[str, Reader] = {
        EVERYTHING: functools.partial(read_everything, path, index=index),
        START: functools.partial(read, seek=False),
        INDEXED: read,
    }
    for name, cache in caches.items():
        found[name] = lambda numbers, cache=cache: cache.read(path, numbers, unexpected)  # type: ignore[misc]
    return found


def measure(path: Path, folder: Path, *, rounds: int, samples: int) -> dict[str, list[float]]:
    """Return CPU milliseconds for a sample, of each round, by way."""
    index, rng = index_video(path), np.random.default_rng(0)
    readers = ways(path, index, folder)
    span = (FRAMES - 1) * INTERVAL + 1
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        starts = rng.integers(max(index.num_frames - span, 0) + 1, size=samples)
        places = [np.minimum(start + INTERVAL * np.arange(FRAMES), index.num_frames - 1) for start in starts]
        for numbers in places[:1]:
            assert np.array_equal(readers[START](numbers), readers[INDEXED](numbers)), path
        for name, read in readers.items():
            begun = time.process_time()
            for numbers in places:
                read(numbers)
            times[name].append((time.process_time() - begun) * 1000 / samples)
    return times


def row_of(name: str, times: dict[str, list[float]]) -> list[str]:
    """Return a row of the table."""
    cells = [name]
    for way, values in times.items():
        ratios = [base / value for base, value in zip(times[EVERYTHING], values)]
        spread = f"{statistics.median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"
        cells.append(spread if way == EVERYTHING else f"{spread}  {statistics.median(ratios):.1f}x")
    return cells


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, help="videos to read in place of those that are made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=4, help="of a round")
    parser.add_argument("--json", type=Path, help="write all times there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = {path.name: path for path in args.videos} or {
            "360p, keyframe each 250, 600 frames": make_video(
                folder / "few.mp4", size=(640, 360), frames=600, keyframes=250
            ),
            "360p, keyframe each 12, 600 frames": make_video(
                folder / "many.mp4", size=(640, 360), frames=600, keyframes=12
            ),
            "96p, keyframe each 24, 72 frames": make_video(
                folder / "short.mp4", size=(128, 96), frames=72, keyframes=24
            ),
        }
        for title, path in videos.items():
            results[title] = measure(path, folder / "cache", rounds=args.rounds, samples=args.samples)
        rows = [row_of(title, times) for title, times in results.items()]
        print(tabulate(rows, headers=["CPU ms for a sample", *next(iter(results.values()))]))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
